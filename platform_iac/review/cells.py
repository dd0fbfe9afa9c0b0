"""Markdown that no text of ours or of a host can break out of: tables, code, folded diffs."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

LIMIT: Final = 65_000
"""Characters. GitHub refuses a comment of more than 65,536."""

MOST_ROWS: Final = 60
MOST_LINES: Final = 120
"""Rows of one table, and lines of one diff; what is left out is counted."""


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Return a table of the first MOST_ROWS rows, and how many more there are."""
    lines = [_row(head), _row(["---"] * len(head)), *(_row([_cell(cell) for cell in row]) for row in rows[:MOST_ROWS])]
    more = f"\n{len(rows) - MOST_ROWS} more.\n" if len(rows) > MOST_ROWS else ""
    return "\n".join(lines) + "\n" + more


def folded(summary: str, lines: Sequence[str]) -> str:
    """Return a diff under a line that opens it; `summary` is HTML. Only the first MOST_LINES are shown."""
    shown = list(lines[:MOST_LINES])
    if len(lines) > MOST_LINES:
        shown.append(f"… {len(lines) - MOST_LINES} more lines")
    body = "\n".join(shown)
    fence = "`" * max(3, 1 + max((len(run) for run in re.findall(r"`+", body)), default=0))
    diff = f"{fence}diff\n{body}\n{fence}\n\n" if shown else ""
    return f"<details><summary>{summary}</summary>\n\n{diff}</details>\n\n"


def code(text: str) -> str:
    """Return what stands between backticks: it cannot end them, and no line ends inside."""
    return text.replace("`", "'").replace("\n", " ")


def escape(text: str) -> str:
    """Return text that is no HTML."""
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def _row(cells: Iterable[str]) -> str:
    return f"| {' | '.join(cells)} |"


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("\n", " ")
