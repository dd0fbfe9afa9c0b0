"""What the spec says of the platform that no resource carries: memory of hosts, teams, and the spec before."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from platform_iac.spec.prices import bill
from policies.values import UnjudgedError

if TYPE_CHECKING:
    from platform_iac.plan.impact import Touched
    from platform_iac.plan.model import Plan
    from platform_iac.spec.model import Platform


@dataclass(frozen=True, slots=True)
class Approval:
    """A named person's consent to one change, told by the digest that the gate printed."""

    change: str
    by: str
    why: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """Everything is optional: a rule that needs what is not there could not judge.

    `memory_mib` is by host. `touched` is what the change since the base does to hosts, with its digest.
    `today` is a date (ISO 8601), so that the same input gives the same verdict.
    """

    memory_mib: Mapping[str, int] = field(default_factory=dict)
    teams: tuple[str, ...] | None = None
    touched: Touched | None = None
    capital: int | None = None
    """What hosts and fabric cost to buy in `currency`; None where the spec states no prices."""

    currency: str = ""
    unpriced: tuple[str, ...] = ()
    """What `capital` leaves out, because the spec states no price of it."""

    untold: str = ""
    """Why what changes cannot be told, where a spec before was asked for and cannot be read."""

    untold_change: str = ""
    """The digest of what cannot be told: approvals quote it, as they do that of `touched`."""

    approvals: tuple[Approval, ...] = ()
    today: str = ""
    missing: str = "no spec was given"
    """Why there are no facts, where there are none."""

    @property
    def change(self) -> str:
        """The digest of what changes since the base; empty where nobody asked, or there was nothing before."""
        return self.touched.digest if self.touched else self.untold_change

    @property
    def approved(self) -> tuple[Approval, ...]:
        """The approvals of exactly this change, by somebody with a name."""
        return tuple(each for each in self.approvals if self.change and each.change == self.change and each.by.strip())

    def memory_of(self, host: str) -> int:
        """Return a host's memory in MiB.

        Raises:
            UnjudgedError: the spec knows no such host.
        """
        if host not in self.memory_mib:
            raise UnjudgedError(f"the memory of {host} is not known: {self.missing or 'the spec has no such host'}")
        return self.memory_mib[host]


def of(spec: Platform, plan: Plan) -> Facts:
    """Return what the spec says."""
    fabric = plan.fabric
    bought = bill(spec, switches=len(fabric.switches) if fabric else 0, cables=len(fabric.cables) if fabric else 0)
    prices = spec.prices
    return Facts(
        capital=bought.capital(prices) if prices else None,
        currency=prices.currency if prices else "",
        unpriced=bought.unpriced(prices) if prices else (),
        memory_mib={host.name: host.hardware.memory_gib * 1024 for host in plan.hosts},
        teams=tuple(sorted(spec.teams)),
        missing="",
    )
