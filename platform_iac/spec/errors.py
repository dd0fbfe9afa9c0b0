"""What is wrong with a spec, all at once, each with its place and what to do."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterable

Path = tuple[str | int, ...]
"""Where a value is in the spec: keys of maps and indices of lists, from the root."""

MOST_SHOWN: Final = 50
_PLAIN_KEY = re.compile(r"[A-Za-z0-9_-]{1,63}")


@dataclass(frozen=True, slots=True, order=True)
class Mark:
    """A place in a file. Line and column count from 1, columns in characters."""

    file: str
    line: int
    column: int

    def __str__(self) -> str:
        return f"{self.file}:{self.line}:{self.column}"


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing that is wrong. `message` reads `what is wrong — what to do`."""

    message: str
    path: Path = ()
    mark: Mark | None = None

    def __str__(self) -> str:
        place = " ".join(part for part in (str(self.mark or ""), dotted(self.path)) if part)
        return f"{place}: {self.message}" if place else self.message


class SpecError(ValueError):
    """The spec is refused. `problems` has every reason, in the order of the file."""

    def __init__(self, problems: Iterable[Problem]) -> None:
        self.problems = tuple(sorted(problems, key=lambda problem: (problem.mark or Mark("", 0, 0), str(problem))))
        lines = [str(problem) for problem in self.problems[:MOST_SHOWN]]
        if more := len(self.problems) - MOST_SHOWN:
            lines += [f"… and {more:,} more — mend these first"] if more > 0 else []
        super().__init__("\n".join(lines))


class SpecNotFoundError(SpecError, LookupError):
    """There is no such stack or file."""


def dotted(path: Path) -> str:
    """Return a path as people write it: `scheduler.partitions.gpu.pools[0]`."""
    text = ""
    for step in path:
        if isinstance(step, int):
            text += f"[{step}]"
        else:
            shown = step if _PLAIN_KEY.fullmatch(step) else repr(step[:60])
            text += f".{shown}" if text else shown
    return text
