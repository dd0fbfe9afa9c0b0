"""What a night's look at running stacks found, as a Markdown report."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from platform_iac.review.cells import LIMIT, code, escape, folded, table

if TYPE_CHECKING:
    from collections.abc import Sequence


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """One thing on one host that is not as it was applied; `said` may have a diff in further lines."""

    stack: str
    host: str
    thing: str
    said: str
    resource: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """What a stack's hosts answered; `problem` is why they could not be asked, else empty."""

    stack: str
    found: tuple[Found, ...] = ()
    problem: str = ""


def markdown(seen: Sequence[Seen], moment: str) -> str:
    """Return the report of several stacks: what differs in a table for each, then diffs as far as they fit."""
    text = f"# Drift at {moment}\n\n" + "\n".join(_stack(each) for each in seen)
    left = 0
    for found in (found for each in seen for found in each.found):
        _, lines = _told(found.said)
        if lines:
            where = f"<code>{escape(found.stack)}</code> {escape(found.host)}: <code>{escape(found.thing)}</code>"
            block = "\n" + folded(where, lines).rstrip("\n") + "\n"
            fits = len(text) + len(block) < LIMIT - 100
            text += block if fits else ""
            left += not fits
    return text + (f"\n{left} more differ in text; `platform-iac drift` shows how.\n" if left else "")


def _stack(seen: Seen) -> str:
    if seen.problem:
        return f"## `{code(seen.stack)}`: ⚠️ not asked\n\n{escape(seen.problem)}\n"
    if not seen.found:
        return f"## `{code(seen.stack)}`: ✅ no host differs from what was applied\n"
    hosts = len({found.host for found in seen.found})
    rows = [(f"`{code(found.host)}`", f"`{code(found.thing)}`", escape(_told(found.said)[0])) for found in seen.found]
    head = f"## `{code(seen.stack)}`: ❌ {len(rows)} differ on {hosts} host{'' if hosts == 1 else 's'}"
    todo = f"`pulumi up --stack {code(seen.stack)}` brings them back to what was applied."
    return f"{head}\n\n{table(('host', 'what', 'how'), rows)}\n{todo}\n"


def _told(said: str) -> tuple[str, list[str]]:
    """Return how a thing differs, with when it changed and who was there, and the lines of its diff."""
    how, *lines = said.splitlines()
    return (f"{how} ({lines[0]})", lines[1:]) if lines and lines[0].startswith("changed ") else (how, lines)
