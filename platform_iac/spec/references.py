"""Names that refer to another part of the same spec, checked while it is read.

`load` hands pydantic the names that the document has (its validation context), so a reference to
nothing is reported together with every other error, even when the thing it means is itself wrong.
"""

from __future__ import annotations

from dataclasses import dataclass
from difflib import get_close_matches
from itertools import islice
from typing import TYPE_CHECKING, Any

from pydantic_core import PydanticCustomError, core_schema

if TYPE_CHECKING:
    from collections.abc import Iterable

    from pydantic import GetCoreSchemaHandler


@dataclass(frozen=True, slots=True)
class Refers:
    """Marks a string as the name of something in the section `section` of the spec."""

    section: str

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> core_schema.CoreSchema:
        return core_schema.with_info_after_validator_function(self._check, handler(source))

    def _check(self, name: str, info: core_schema.ValidationInfo) -> str:
        if info.context is None:
            return name
        names = info.context.get(self.section, {})
        if name not in names:
            shown = ", ".join([*islice(names, 20), *(["…"] if len(names) > 20 else [])])
            there = f"there are: {shown}" if names else f"the spec has no `{self.section}`"
            message = f"nothing in `{self.section}` is called {name[:80]!r} — {suggestion(name, names)}{there}"
            raise PydanticCustomError("spec", "{message}", {"message": message})
        return name


def suggestion(word: str, words: Iterable[str]) -> str:
    """Return `did you mean `x`? ` for the likeliest of the first hundred `words`, or nothing."""
    close = get_close_matches(word[:80], islice(words, 100), n=1, cutoff=0.6)
    return f"did you mean `{close[0]}`? " if close else ""
