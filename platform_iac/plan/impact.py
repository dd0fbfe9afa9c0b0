"""What a change of the spec does to hosts: which are reimaged, replaced or drained, and by what."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from platform_iac import kinds
from platform_iac.plan.context import Context
from platform_iac.plan.export import value
from platform_iac.spec.base import IMPACTS, Model
from platform_iac.spec.changes import changes

if TYPE_CHECKING:
    from collections.abc import Mapping

    from platform_iac.plan.model import Host, Part, Plan
    from platform_iac.spec.base import Impact
    from platform_iac.spec.changes import Change
    from platform_iac.spec.model import Platform

GRAVE: Final = ("drain", "reimage", "replace", "forbidden")
"""Impacts that jobs or data notice, from the mildest on (see `spec.base.IMPACTS`)."""

APPROVED: Final = ("drain", "reimage", "replace")
"""Those that somebody may approve: a digest is over nothing else."""

FAMILIES: Final = {"storage": "storage", "scheduler": "scheduler", "services": "service"}
"""Sections whose parts run on hosts of their own, with the family of their kinds."""

PLACE: Final = ("address", "site", "duty", "hardware")
"""What a host is: with another one of these it is touched."""


@dataclass(frozen=True, slots=True)
class Touched:
    """What happens to hosts that exist already.

    `hosts` are the names of those that are touched gravely, by impact and sorted; each counts once, under its gravest.
    `why` are the changes, by impact. `digest` names exactly this change on exactly these hosts: approvals quote it.
    """

    hosts: Mapping[str, tuple[str, ...]]
    why: Mapping[str, tuple[str, ...]]
    digest: str


def touched(old: tuple[Platform, Plan], new: tuple[Platform, Plan]) -> Touched:
    """Return what going from one spec to the next does to the hosts of the first.

    A host that leaves the platform is drained first. One whose address, site or duty is another is what the spec says
    of that field, also where it moved there from another pool.
    """
    found = tuple(change for change in changes(old[0], new[0]) if change.impact in GRAVE)
    worst: dict[str, Impact] = {}
    why: dict[str, dict[str, None]] = {}

    def add(host: str, impact: Impact, reason: str) -> None:
        why.setdefault(impact, {})[reason] = None
        if IMPACTS.index(impact) > IMPACTS.index(worst.get(host, "none")):
            worst[host] = impact

    for change in found:
        for host in _reached(change, old, new):
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
    moved = {host.name: _moved(host, now.get(host.name)) for host in old[1].hosts}
    exactly = {impact: {name: moved[name] for name in by_impact[impact]} for impact in APPROVED}
    return Touched(by_impact, {impact: tuple(why.get(impact, ())) for impact in GRAVE}, _digest(found, exactly))


def unread(before: str, new: Platform) -> str:
    """Return the digest of a change whose spec before cannot be read: `before` is a name of that state of the specs."""
    return _hash([before, value(new)])


def _reached(change: Change, old: tuple[Platform, Plan], new: tuple[Platform, Plan]) -> tuple[Host, ...]:
    """The hosts that exist and that a change in this part of the spec reaches; all where it names none."""
    section, name = (*change.path, "", "")[:2]
    plan = old[1]
    if section == "services" or (section in FAMILIES and isinstance(change.before, Model)):
        there = {host for side in (old, new) for host in _run_on(str(section), str(name), *side)}
        return tuple(host for host in plan.hosts if host.name in there)
    if section == "pools":
        return tuple(host for host in plan.hosts if host.pool == name) if name else ()
    if section == "sites":
        return tuple(host for host in plan.hosts if host.site == name)
    if section in ("scheduler", "fabric"):
        return tuple(host for host in plan.hosts if host.duty == "compute")
    if section in ("storage", "name"):
        return plan.hosts
    return () if section in ("description", "environment", "apiVersion") else plan.hosts


def _run_on(section: str, name: str, spec: Platform, plan: Plan) -> frozenset[str]:
    """The names of the hosts that a part of the spec with a kind runs on; none where it is not there.

    Where a service has a host with `duty: services`, its clients are not among them: they keep nothing of it.
    """
    parts = {section: spec.scheduler} if section == "scheduler" else getattr(spec, section)
    name = section if section == "scheduler" else name
    there = parts.get(name)
    if there is None:
        return frozenset()
    alone = spec.model_copy(update={"storage": {name: there}}) if section == "storage" else spec  # one plans for others
    module = kinds.find(FAMILIES[section], there.kind)
    part: Part = module.plan(name, there, Context(alone, plan.hosts, plan.fabric))
    found = frozenset(host for run in part.runs for host in run.hosts)
    served = frozenset(host.name for host in plan.hosts if host.duty == "services") if section == "services" else found
    return found & served or found


def _moved(host: Host, after: Host | None) -> dict[str, Any] | None:
    """What a host is before and after, where that differs; None for one that leaves."""
    if after is None:
        return None
    pairs = {name: (getattr(host, name), getattr(after, name)) for name in PLACE}
    return {name: value(pair) for name, pair in pairs.items() if pair[0] != pair[1]}


def _digest(found: tuple[Change, ...], exactly: Mapping[str, Any]) -> str:
    """The changes that may be approved, before and after, and the hosts that they and others touch, by impact."""
    plain = [
        [[str(step) for step in change.path], value(change.before), value(change.after)]
        for change in found
        if change.impact in APPROVED
    ]
    return _hash([plain, exactly])


def _hash(plain: Any) -> str:
    """SHA-256, first 16 digits: the same change has the same one anywhere."""
    return hashlib.sha256(json.dumps(plain, sort_keys=True).encode()).hexdigest()[:16]
