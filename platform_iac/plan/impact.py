"""What a change of the spec does to hosts: which are reimaged, replaced or drained, and by what."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from platform_iac.plan.export import value
from platform_iac.spec.base import IMPACTS
from platform_iac.spec.changes import changes

if TYPE_CHECKING:
    from collections.abc import Mapping

    from platform_iac.plan.model import Host, Plan
    from platform_iac.spec.base import Impact
    from platform_iac.spec.changes import Change
    from platform_iac.spec.model import Platform

GRAVE: Final = ("drain", "reimage", "replace", "forbidden")
"""Impacts that jobs or data notice, from the mildest on (see `spec.base.IMPACTS`)."""


@dataclass(frozen=True, slots=True)
class Touched:
    """What happens to hosts that exist already.

    `hosts` are the names of those that are touched gravely, by impact and sorted; each counts once, under its gravest.
    `why` are the changes, by impact. `digest` names exactly this change: approvals quote it.
    """

    hosts: Mapping[str, tuple[str, ...]]
    why: Mapping[str, tuple[str, ...]]
    digest: str


def touched(old: tuple[Platform, Plan], new: tuple[Platform, Plan]) -> Touched:
    """Return what going from one spec to the next does to the hosts of the first.

    A host that leaves the platform is drained first. One whose address, site or duty is another is what the spec says
    of that field, also where it moved there from another pool.
    """
    found = changes(old[0], new[0])
    worst: dict[str, Impact] = {}
    why: dict[str, dict[str, None]] = {}

    def add(host: str, impact: Impact, reason: str) -> None:
        why.setdefault(impact, {})[reason] = None
        if IMPACTS.index(impact) > IMPACTS.index(worst.get(host, "none")):
            worst[host] = impact

    for change in found:
        if change.impact in GRAVE:
            for host in _reached(change, old[1]):
                add(host.name, change.impact, str(change))
            why.setdefault(change.impact, {})[str(change)] = None
    now = {host.name: host for host in new[1].hosts}
    for host in old[1].hosts:
        if host.name not in now:
            add(host.name, "drain", "hosts leave the platform")
            continue
        after = now[host.name]
        if host.address != after.address:
            add(host.name, "replace", "hosts have other addresses")
        if host.site != after.site:
            add(host.name, "replace", "hosts are at another site")
        if host.duty != after.duty:
            add(host.name, "reimage", "hosts have another duty")
        if host.hardware != after.hardware:
            add(host.name, "drain", "hosts have other hardware")
    by_impact = {impact: tuple(sorted(name for name, what in worst.items() if what == impact)) for impact in GRAVE}
    return Touched(by_impact, {impact: tuple(why.get(impact, ())) for impact in GRAVE}, _digest(found))


def _reached(change: Change, plan: Plan) -> tuple[Host, ...]:
    """The hosts that exist and that a change in this part of the spec reaches; all where it names none."""
    section, name = (*change.path, "", "")[:2]
    if section == "pools":
        return tuple(host for host in plan.hosts if host.pool == name) if name else ()
    if section == "sites":
        return tuple(host for host in plan.hosts if host.site == name)
    if section == "services":
        return tuple(host for host in plan.hosts if host.duty == "services")
    if section in ("scheduler", "fabric"):
        return tuple(host for host in plan.hosts if host.duty == "compute")
    if section in ("storage", "name"):
        return plan.hosts
    return () if section in ("description", "environment", "apiVersion") else plan.hosts


def _digest(found: tuple[Change, ...]) -> str:
    """SHA-256 over what is written before and after, first 16 digits: the same change has the same one anywhere."""
    plain = [[[str(step) for step in change.path], value(change.before), value(change.after)] for change in found]
    return hashlib.sha256(json.dumps(plain, sort_keys=True).encode()).hexdigest()[:16]
