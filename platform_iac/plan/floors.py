"""The oldest release of a package that may be installed, as data.

Debian's floors carry its revision: fixes are backported, so an upstream version tells nothing. Every floor is
under the name of its source; `packages` are what is built from it and has its version.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Mapping

FILE: Final = Path(__file__).with_suffix(".json")


@dataclass(frozen=True, slots=True, kw_only=True)
class Floor:
    """One floor: `packages` must be at `floor` or above, `because` says what older ones lack."""

    floor: str
    packages: tuple[str, ...]
    because: str


@cache
def floors(ecosystem: str) -> Mapping[str, Floor]:
    """Return the floors of `debian` or `python` by source."""
    found = json.loads(FILE.read_text(encoding="utf-8"))[ecosystem]
    return MappingProxyType(
        {name: Floor(**{**about, "packages": tuple(about["packages"])}) for name, about in found.items()}
    )


def debian(*packages: str) -> dict[str, str]:
    """Return `{package: floor}` as roles and drift take it; KeyError where the data has no floor for one."""
    known = {package: floor.floor for floor in floors("debian").values() for package in floor.packages}
    return {package: known[package] for package in sorted(packages)}


def python(package: str) -> tuple[int, ...]:
    """Return the numbers of a Python package's floor; KeyError where the data has none."""
    return tuple(int(part) for part in floors("python")[package].floor.split("."))
