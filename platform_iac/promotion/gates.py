"""What must hold before a release goes on: each gate that is shut, as a sentence."""

from __future__ import annotations

from collections.abc import Iterator
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Final

from platform_iac.spec.changes import changes
from platform_iac.spec.errors import dotted

if TYPE_CHECKING:
    from platform_iac.promotion.evidence import Entry
    from platform_iac.spec.model import Platform

ALWAYS_DIFFER: Final = ("environment", "description", "promotion", "promotion.*")
MOST_SHOWN = 20


def tried_below(entries: tuple[Entry, ...], below: str, release: str) -> str:
    """Return why `release` did not prove itself in the stack `below`; empty where it did.

    What counts is the last thing that was done there: a release that was rolled back since has not proven itself.
    """
    there = [entry for entry in entries if entry.stack == below and entry.action != "approve"]
    if not there:
        return f"nothing was promoted to `{below}` yet — `platform-iac promote --to {below}` comes first"
    last = there[-1]
    if last.release != release:
        return (
            f"`{below}` has release {last.release}, this checkout is {release} — "
            f"`platform-iac promote --to {below}` comes first"
        )
    if last.action == "begin":
        return (
            f"release {release} began in `{below}` (line {last.sequence} of the log) and nothing tells how it ended — "
            "promote it there again"
        )
    if not last.passed:
        return f"release {release} failed in `{below}` (line {last.sequence} of the log) — mend it and begin there"
    return ""


def differs_where_it_may(below: Platform, target: Platform) -> Iterator[str]:
    """Yield every difference of two environments that the target's `promotion.may_differ` does not name."""
    allowed = (*ALWAYS_DIFFER, *(target.promotion.may_differ if target.promotion else ()))
    paths = (dotted(change.path) for change in changes(below, target))
    found = [path for path in paths if not any(fnmatchcase(path, pattern) for pattern in allowed)]
    for path in found[:MOST_SHOWN]:
        yield f"`{path}` differs from the environment below — make it equal, or name it in `promotion.may_differ`"
    if len(found) > MOST_SHOWN:
        yield f"{len(found) - MOST_SHOWN} more fields differ from the environment below"


def approved(entries: tuple[Entry, ...], target: str, release: str, *, needed: int, promoter: str) -> str:
    """Return how many approvals of other people are missing; empty where there are enough."""
    who = {
        entry.who
        for entry in entries
        if entry.action == "approve" and entry.stack == target and entry.release == release and entry.who != promoter
    }
    if len(who) >= needed:
        return ""
    return (
        f"release {release} has {len(who)} of {needed} approvals for `{target}` by others than {promoter} — "
        f"`platform-iac approve --to {target}` records one"
    )


def former(entries: tuple[Entry, ...], stack: str) -> Entry | None:
    """Return the last entry that left a good release in `stack` other than the one that is there now."""
    there = [entry for entry in entries if entry.stack == stack and entry.action != "approve"]
    if not there:
        return None
    return next((entry for entry in reversed(there) if entry.passed and entry.release != there[-1].release), None)
