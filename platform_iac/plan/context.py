"""What a kind may look at while it plans: the spec and the hosts, nothing else."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from platform_iac.plan.model import User

if TYPE_CHECKING:
    from platform_iac.fabric.model import Fabric
    from platform_iac.plan.model import Host
    from platform_iac.spec.model import Platform


class PlanError(ValueError):
    """The spec is well-formed, but no platform can be built from it. Says what to change."""


@dataclass(frozen=True, slots=True)
class Context:
    """The whole spec, every host in the order of the spec, and the fabric between them where there is one."""

    spec: Platform
    hosts: tuple[Host, ...]
    fabric: Fabric | None = None

    def with_duty(self, *duties: str) -> tuple[Host, ...]:
        """Hosts whose pool has one of these duties; none is an empty tuple."""
        return tuple(host for host in self.hosts if host.duty in duties)

    def members(self) -> dict[str, User]:
        """Every person of every team by account, sorted."""
        people = {name: member for team in self.spec.teams.values() for name, member in team.members.items()}
        return {name: User(name=name, uid=member.uid) for name, member in sorted(people.items())}

    def mirror_of(self, site: str) -> str:
        """Return `http://<host>` of the site's mirror; empty where the site has none."""
        return next((f"http://{host.name}" for host in self.with_duty("mirror") if host.site == site), "")

    def the(self, duty: str, *, asked_by: str) -> Host:
        """The one host with this duty.

        Raises:
            PlanError: none or several hosts have it.
        """
        found = self.with_duty(duty)
        if len(found) != 1:
            names = ", ".join(host.name for host in found) or "none"
            raise PlanError(f"{asked_by} needs exactly one host with `duty: {duty}`, found {names} — change `pools`")
        return found[0]
