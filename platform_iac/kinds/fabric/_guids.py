"""GUIDs that the spec gives: each belongs to something that is planned, and to one thing only."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from platform_iac.plan.context import PlanError
from platform_iac.spec.references import suggestion

if TYPE_CHECKING:
    from collections.abc import Mapping

    from platform_iac.fabric.model import Fabric


def check(wired: Fabric, hosts: Mapping[str, tuple[str, ...]], switches: Mapping[str, str]) -> None:
    """Return when all GUIDs fit.

    Raises:
        PlanError: for a host or a switch that is not on the fabric, or a GUID that is given twice.
    """
    ports = Counter(adapter.host for adapter in wired.adapters)
    for host in hosts:
        if host not in ports:
            raise PlanError(f"fabric.guids: `{host}` is not on the fabric — {suggestion(host, ports)}take it out")
    names = [switch.name for switch in wired.switches]
    for name in switches:
        if name not in names:
            hint = suggestion(name, names)
            raise PlanError(
                f"fabric.switch_guids: the plan has no switch `{name}` — {hint}they are {names[0]} to {names[-1]}"
            )
    given = Counter([guid for guids in hosts.values() for guid in guids] + list(switches.values()))
    if twice := [guid for guid, count in given.items() if count > 1]:
        raise PlanError(f"fabric: GUID {twice[0]} is given twice — every port and every switch has its own")
