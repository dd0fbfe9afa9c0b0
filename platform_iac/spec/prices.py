"""What a platform costs to buy, at prices that its own spec states. Nothing here knows a price by itself."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated

from pydantic import AfterValidator, Field

from platform_iac.spec.base import Model, setting
from platform_iac.spec.hardware import Named, in_catalog

if TYPE_CHECKING:
    from platform_iac.spec.model import Platform

Price = Annotated[int, Field(ge=0, le=1_000_000_000)]


class Prices(Model):
    """What one of each costs to buy, in whole units of one currency."""

    currency: Annotated[str, Field(pattern=r"^[A-Z]{3}$")] = setting(
        impact="none", description="The currency of all prices, by ISO 4217: EUR, USD."
    )
    machines: dict[Annotated[Named, AfterValidator(in_catalog)], Price] = setting(
        default_factory=dict,
        impact="none",
        description="By machine of the catalog; one that a pool changes counts as the one that it is `like`.",
    )
    switch: Price | None = setting(None, impact="none", description="One switch of the fabric.")
    cable: Price | None = setting(None, impact="none", description="One cable of the fabric with its ends, on average.")

    def of(self, what: str) -> int | None:
        """Return the price of one; None where the spec states none."""
        return {"fabric switch": self.switch, "fabric cable": self.cable}.get(what, self.machines.get(what))


@dataclass(frozen=True, slots=True)
class Bill:
    """What is bought: how many of each, by name, sorted."""

    counts: dict[str, int]

    def capital(self, prices: Prices) -> int:
        """Return what all of it costs that has a price."""
        return sum(count * (prices.of(what) or 0) for what, count in self.counts.items())

    def unpriced(self, prices: Prices) -> tuple[str, ...]:
        """Return what the spec states no price for, sorted."""
        return tuple(what for what in self.counts if prices.of(what) is None)


def bill(spec: Platform, *, switches: int, cables: int) -> Bill:
    """Return what the hosts of `spec` and its fabric, which has so many parts, are bought as."""
    counts = Counter({"fabric switch": switches, "fabric cable": cables})
    for pool in spec.pools.values():
        counts[pool.hardware.like] += len(pool.names)
    return Bill({what: count for what, count in sorted(counts.items()) if count})
