"""What an error proposes: the nearest numbers that can be cabled, each of them tried before it is said."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction
from typing import TYPE_CHECKING, Final, Literal, Protocol, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from platform_iac.fabric.sizes import Wish

LARGEST_RADIX: Final = 512
LARGEST_UNIT: Final = 4096
LARGEST_BLOCKING: Final = 16
RADICES: Final = (32, 36, 40, 64, 128, 144, 256, LARGEST_RADIX)
"""Ports of switches that are sold, and the largest that is planned: proposed where a switch is too small."""

Change = Literal["blocking", "design", "nodes", "radix", "larger", "tiers", "unit"]
"""What could be wished for instead: `radix` the nearest, `larger` the next that is sold, `nodes` fewer of them."""
EVERY: Final[tuple[Change, ...]] = ("unit", "blocking", "radix", "design", "tiers", "larger")
LEFT_OUT: Final = "`unit`, `tiers` and `blocking`"
"""What the planner can choose by itself."""

T = TypeVar("T", int, Fraction)


class Fits(Protocol):
    """Whether a wish can be cabled, for as many node slots as were asked for, or for others."""

    def __call__(self, wish: Wish, slots: int | None = None, /) -> bool:
        """Try it."""


def proposed(wish: Wish, changes: Iterable[Change], fits: Fits, most: int = 0) -> str:
    """Return what to take instead: of `changes` those that help, else any other, else one without `LEFT_OUT`.

    `most` is the largest number of nodes that these numbers might carry.
    """
    if ways := list(_ways(wish, changes, fits, most)) or list(_ways(wish, EVERY, fits, most))[:1]:
        return f"take {' or '.join(ways)}"
    bare = replace(wish, unit=0, tiers=0, blocking=Fraction(1))
    if fits(bare):
        return f"leave {LEFT_OUT} out"
    if way := next(_ways(bare, EVERY, fits, most), ""):
        return f"take {way}, and leave {LEFT_OUT} out"
    return "take fewer nodes or rails"


def read(text: float | str) -> Fraction:
    """Return `blocking` as a spec has it, as the ratio of whole ports that is meant."""
    return Fraction(float(text)).limit_denominator(LARGEST_RADIX)


def ratio(blocking: Fraction) -> str:
    """Return `3:1`."""
    return f"{blocking.numerator}:{blocking.denominator}"


def _ways(wish: Wish, changes: Iterable[Change], fits: Fits, most: int) -> Iterator[str]:
    for change in changes:
        if change == "nodes":
            if most and fits(wish, most):
                yield f"{most:,} nodes at most"
        elif change == "tiers":
            if wish.tiers == 2 and fits(replace(wish, tiers=3)):
                yield "`tiers: 3`"
        elif change == "design":
            other = replace(wish, design="rail-optimised")
            if wish != other and fits(other):
                yield "`design: rail-optimised`"
        elif change == "larger":
            if radix := next((one for one in RADICES if one > wish.radix and fits(replace(wish, radix=one))), 0):
                yield f"`radix: {radix}`"
        elif found := _near(wish, change, fits):
            yield found


def _near(wish: Wish, change: Literal["blocking", "radix", "unit"], fits: Fits) -> str:
    """The nearest below and above what is wished for; empty where there is none."""
    if change == "radix":
        radices = _around(range(4, LARGEST_RADIX + 1, 2), wish.radix, lambda one: fits(replace(wish, radix=one)))
        return _either("radix", [str(one) for one in radices])
    if change == "unit":
        largest = wish.radix if wish.design == "rail-optimised" else LARGEST_UNIT
        units = _around(range(1, largest + 1), wish.unit, lambda one: fits(replace(wish, unit=one)))
        return _either("unit", [str(one) for one in units]) if wish.unit else ""
    shares = (Fraction(down, wish.radix - down) for down in range(-(-wish.radix // 2), wish.radix))
    possible = sorted(one for one in shares if one <= LARGEST_BLOCKING)
    found = _around(possible, wish.blocking, lambda one: fits(replace(wish, blocking=one)))
    return _either("blocking", [_digits(one) for one in found], [f" ({ratio(one)})" for one in found])


def _around(ascending: Iterable[T], wished: T, takes: Callable[[T], bool]) -> list[T]:
    values = list(ascending)
    below = next((one for one in reversed(values) if one < wished and takes(one)), None)
    above = next((one for one in values if one > wished and takes(one)), None)
    return [one for one in (below, above) if one is not None]


def _digits(blocking: Fraction) -> str:
    """So many digits that a spec with them means the same ratio again; six where they are enough."""
    texts = (f"{float(blocking):.{digits}g}" for digits in range(6, 18))
    return next(text for text in texts if read(text) == blocking)


def _either(name: str, values: list[str], remarks: list[str] | None = None) -> str:
    """`` `unit: 28` or 32 ``; each value with its remark."""
    if not values:
        return ""
    more = remarks or [""] * len(values)
    first, *others = [f"`{name}: {values[0]}`", *values[1:]]
    return " or ".join(f"{value}{remark}" for value, remark in zip([first, *others], more, strict=True))
