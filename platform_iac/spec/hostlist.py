"""Hostlists as Slurm writes them: `gpu[001-031,040]` stands for 32 names.

Source: slurm.conf man page, "NodeName". One pair of brackets per name; several names are separated
by commas. Leading zeros are kept.
"""

from __future__ import annotations

import re
from itertools import groupby
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

MOST_NAMES: Final = 65_536
"""Bound for one hostlist: Slurm's own MAX_NODE_COUNT is of this order, and `x[0-999999999]` must not eat memory."""

_ITEM = re.compile(r"(?P<prefix>[^\[\],\s]*)(?:\[(?P<ranges>[^\[\]\s]*)\](?P<suffix>[^\[\],\s]*))?")
_RANGE = re.compile(r"(\d{1,9})(?:-(\d{1,9}))?")
_SPAN = re.compile(r"(\d{1,9})-(\d{1,9})")
_NUMBERED = re.compile(r"(?P<prefix>.*?)(?P<number>\d{1,9})")


class HostlistError(ValueError):
    """The text is no hostlist. Says which part and what to write instead."""


def expand(text: str, *, most: int = MOST_NAMES) -> tuple[str, ...]:
    """Return the names in the order written.

    Raises:
        HostlistError: malformed, empty, a name twice, or more than `most` names.
    """
    if estimate(text) > most:
        raise HostlistError(f"`{text[:80]}` has more than {most:,} names — write fewer")
    names: dict[str, None] = {}
    for item in _items(text):
        for name in _names(item):
            if name in names:
                raise HostlistError(f"`{name}` is in the hostlist twice — write every host once")
            names[name] = None
    return tuple(names)


def estimate(text: str) -> int:
    """Return how many names a hostlist has, from its ranges alone; never fewer, and without making them."""
    return text.count(",") + 1 + sum(max(0, int(high) - int(low)) for low, high in _SPAN.findall(text))


def compress(names: Iterable[str]) -> str:
    """Return the shortest hostlist of `names`, sorted; `expand` gives the same names back."""
    numbered: dict[tuple[str, int], set[int]] = {}
    parts: list[tuple[str, str]] = []
    for name in set(names):
        if match := _NUMBERED.fullmatch(name):
            digits = match["number"]
            numbered.setdefault((match["prefix"], len(digits)), set()).add(int(digits))
        else:
            parts.append((name, name))
    for (prefix, width), numbers in numbered.items():
        runs = [_run(run, width) for run in _consecutive(sorted(numbers))]
        single = len(runs) == 1 and "-" not in runs[0]
        parts.append((f"{prefix}{width:03}", f"{prefix}{runs[0]}" if single else f"{prefix}[{','.join(runs)}]"))
    return ",".join(text for _, text in sorted(parts))


def _items(text: str) -> Iterator[str]:
    """Split at the commas outside brackets."""
    if not text.strip():
        raise HostlistError("the hostlist is empty — write at least one host, as in `gpu[01-03]`")
    depth = start = 0
    for index, character in enumerate(text):
        depth += (character == "[") - (character == "]")
        if depth not in (0, 1):
            raise HostlistError(f"brackets do not pair in `{text}` — write ranges as in `gpu[01-03,07]`")
        if character == "," and depth == 0:
            yield text[start:index]
            start = index + 1
    if depth:
        raise HostlistError(f"a bracket is not closed in `{text}` — write ranges as in `gpu[01-03,07]`")
    yield text[start:]


def _names(item: str) -> list[str]:
    match = _ITEM.fullmatch(item)
    if match is None or not item:
        raise HostlistError(f"`{item}` is no host or range — write `gpu01` or `gpu[01-03,07]`, without spaces")
    if match["ranges"] is None:
        return [item]
    names: list[str] = []
    for text in match["ranges"].split(","):
        found = _RANGE.fullmatch(text)
        if found is None or not text.isascii():
            raise HostlistError(f"`{text}` in `{item}` is no range of numbers — write `[01-03,07]`")
        low, high = found[1], found[2] or found[1]
        if int(high) < int(low):
            raise HostlistError(f"the range {text} in `{item}` runs backwards — write {high}-{low}")
        if len(high) != len(low) and (low.startswith("0") or high.startswith("0")):
            raise HostlistError(f"{low} and {high} in `{item}` have different widths — pad both with zeros alike")
        width = len(low)
        names += [f"{match['prefix']}{number:0{width}}{match['suffix']}" for number in range(int(low), int(high) + 1)]
    return names


def _consecutive(numbers: list[int]) -> Iterator[list[int]]:
    for _, run in groupby(enumerate(numbers), key=lambda pair: pair[1] - pair[0]):
        yield [number for _, number in run]


def _run(numbers: list[int], width: int) -> str:
    low, high = f"{numbers[0]:0{width}}", f"{numbers[-1]:0{width}}"
    return low if low == high else f"{low}-{high}"
