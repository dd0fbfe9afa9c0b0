"""Versions in Debian's order, and floors that know a distribution's revisions."""

from __future__ import annotations

import re
from itertools import zip_longest
from typing import Any


def compare(one: str, other: str) -> int:
    """Return -1, 0 or 1 as dpkg orders two versions (deb-version(7)): epoch, upstream, revision; `~` before the end."""
    for mine, theirs in zip(_parts(one), _parts(other), strict=True):
        if (found := _part(mine, theirs)) != 0:
            return found
    return 0


def _parts(version: str) -> tuple[str, str, str]:
    epoch, colon, rest = version.strip().partition(":")
    if not colon:
        epoch, rest = "0", version.strip()
    upstream, _, revision = rest.rpartition("-") if "-" in rest else (rest, "", "0")
    return epoch, upstream, revision


def _order(char: str) -> int:
    """`~` sorts before everything, even the end; letters before all other characters."""
    if char == "~":
        return -1
    return ord(char) if char.isalpha() else ord(char) + 256


def _part(one: str, other: str) -> int:
    for mine, theirs in zip_longest(
        re.findall(r"(\D*)(\d*)", one), re.findall(r"(\D*)(\d*)", other), fillvalue=("", "")
    ):
        for left, right in zip_longest(mine[0], theirs[0]):
            a, b = (0 if left is None else _order(left)), (0 if right is None else _order(right))
            if a != b:
                return -1 if a < b else 1
        if (a := int(mine[1] or 0)) != (b := int(theirs[1] or 0)):
            return -1 if a < b else 1
    return 0


def release(text: Any) -> tuple[int, ...] | None:
    """Return the numbers of a final release `3.17.2`; None for anything else, also for `3.17.2rc1`."""
    found = re.fullmatch(r"v?(\d+(?:\.\d+)*)", str(text).strip())
    return tuple(int(part) for part in found[1].split(".")) if found else None
