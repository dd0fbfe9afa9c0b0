"""Resource properties as rules read them: what is not known yet ends the judgement instead of looking harmless."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final


class UnjudgedError(Exception):
    """A rule needs a value that nobody knows before the update, or that has a shape it cannot read."""


class Unknown:
    """The one value that is not known before the update; compare with `is`."""

    def __repr__(self) -> str:
        return "(unknown)"


UNKNOWN: Final = Unknown()
_TRUE: Final = frozenset({"true", "yes", "on", "1"})
_FALSE: Final = frozenset({"false", "no", "off", "0", ""})


@dataclass(frozen=True, slots=True)
class View:
    """One value of a resource's properties and the way to it.

    Absent and null are the same. A single map where a list belongs is a list of one: both spellings reach the same
    resource, so both are judged. Every reader raises `UnjudgedError` where the value, or a part on the way, is unknown.
    """

    value: Any
    path: str = ""

    def at(self, *keys: str) -> View:
        """Return what is below, step by step; null where there is nothing."""
        found: Any = self.value
        path = self.path
        for key in keys:
            if found is UNKNOWN:
                raise UnjudgedError(f"{path or 'it'} is not known before the update")
            path = f"{path}.{key}" if path else key
            found = found.get(key) if isinstance(found, Mapping) else None
        return View(found, path)

    def known(self) -> Any:
        """Return the plain value; null where there is none."""
        if self.value is UNKNOWN:
            raise UnjudgedError(f"{self.path or 'it'} is not known before the update")
        return self.value

    def text(self, *keys: str) -> str:
        """Return text; numbers as they are written, null as the empty text."""
        below = self.at(*keys)
        found = below.known()
        if found is None:
            return ""
        if isinstance(found, bool):
            return "true" if found else "false"
        if isinstance(found, str | int | float):
            return str(int(found)) if isinstance(found, float) and found.is_integer() else str(found)
        raise UnjudgedError(f"{below.path} is no text")

    def flag(self, *keys: str, default: bool = False) -> bool:
        """Return a truth, also where it is written as text or number."""
        below = self.at(*keys)
        if below.known() is None:
            return default
        word = below.text().strip().lower()
        if word in _TRUE:
            return True
        if word in _FALSE:
            return False
        raise UnjudgedError(f"{below.path} is neither true nor false")

    def number(self, *keys: str) -> float | None:
        """Return a number, also where it is written as text; None where there is none."""
        below = self.at(*keys)
        if below.known() is None:
            return None
        try:
            return float(below.text())
        except ValueError:
            raise UnjudgedError(f"{below.path} is no number") from None

    def items(self, *keys: str) -> list[View]:
        """Return the elements of a list; none of null, one of anything else."""
        below = self.at(*keys)
        found = below.known()
        if found is None:
            return []
        if isinstance(found, Sequence) and not isinstance(found, str):
            return [View(each, f"{below.path}[{number}]") for number, each in enumerate(found)]
        return [below]

    def texts(self, *keys: str) -> list[str]:
        """Return the elements of a list as texts."""
        return [each.text() for each in self.items(*keys)]

    def entries(self, *keys: str) -> dict[str, View]:
        """Return the entries of a map; none of null."""
        below = self.at(*keys)
        found = below.known()
        if found is None:
            return {}
        if not isinstance(found, Mapping):
            raise UnjudgedError(f"{below.path} is no map")
        return {str(key): View(each, f"{below.path}.{key}") for key, each in found.items()}

    def walk(self) -> Iterator[View]:
        """Yield this value and every one below it."""
        yield self
        if isinstance(self.value, Mapping):
            for each in self.entries().values():
                yield from each.walk()
        elif isinstance(self.value, Sequence) and not isinstance(self.value, str):
            for each in self.items():
                yield from each.walk()
