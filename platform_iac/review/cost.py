"""What a change costs to buy: both sides at the prices of the newer spec, so that a new price list is no purchase."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from platform_iac.spec.prices import Bill, bill

if TYPE_CHECKING:
    from platform_iac.review.delta import Json
    from platform_iac.spec.model import Platform


@dataclass(frozen=True, slots=True, kw_only=True)
class Cost:
    """Capital in `currency`. `items` are what there is more or less of: name, before, after, price of one (or none)."""

    currency: str
    before: int
    after: int
    items: tuple[tuple[str, int, int, int | None], ...]
    unpriced: tuple[str, ...]
    """What either side has and the spec states no price for; it is in no sum."""


def cost(specs: tuple[Platform | None, Platform], plans: tuple[Json, Json]) -> Cost | None:
    """Return what base and head cost; None where the head states no prices. A base without a spec has nothing."""
    prices = specs[1].prices
    if prices is None:
        return None
    old, new = (_bill(spec, plan) for spec, plan in zip(specs, plans, strict=True))
    names = sorted({*old.counts, *new.counts})
    return Cost(
        currency=prices.currency,
        before=old.capital(prices),
        after=new.capital(prices),
        items=tuple(
            (name, old.counts.get(name, 0), new.counts.get(name, 0), prices.of(name))
            for name in names
            if old.counts.get(name, 0) != new.counts.get(name, 0)
        ),
        unpriced=tuple(sorted({*old.unpriced(prices), *new.unpriced(prices)})),
    )


def _bill(spec: Platform | None, plan: Json) -> Bill:
    if spec is None:
        return Bill({})
    fabric = plan.get("fabric") or {}
    return bill(spec, switches=len(fabric.get("switches", ())), cables=len(fabric.get("cables", ())))
