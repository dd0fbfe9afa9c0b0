"""What runs in a stack: the commit of its last good update, as Pulumi's own history has it."""

from __future__ import annotations

import json
from typing import Any, Final

from platform_iac.commands.errors import CommandError
from platform_iac.commands.pulumi import TOP, EngineError, captured
from platform_iac.commands.tree import git
from platform_iac.spec.load import locate

_MOST_ENTRIES: Final = "1000"
"""Refreshes are entries too, and a nightly one makes many between two updates."""

_VERBS: Final = {"update": "up", "destroy": "down"}
"""What changes hosts, as Pulumi calls it and as we do."""


def known(stack: str) -> bool:
    """Whether commits say what runs: Pulumi tells that of the program, and a spec may be in another repository."""
    return locate(stack).resolve().is_relative_to(TOP)


def commit(stack: str) -> str | None:
    """Return the commit that was applied last; None where nothing runs, or it was applied from no repository.

    It is the commit that was checked out: changes beside it that were not committed are in no history.

    Raises:
        EngineError: the history cannot be read.
        CommandError: this clone does not have that commit.
    """
    if not known(stack):
        return None
    found = _last(_history(stack))
    if found is None:
        return None
    try:
        return git(TOP, "rev-parse", "--verify", "--end-of-options", f"{found}^{{commit}}")
    except CommandError:
        raise CommandError(
            f"{stack} runs commit {found[:12]}, which this clone does not have: what changes cannot be judged "
            "— `git fetch` it"
        ) from None


def unfinished(stack: str) -> str:
    """Return what did not succeed since the last good run: `up` or `down`; empty where nothing has.

    It may have changed or removed some of what `commit` says.

    Raises:
        EngineError: the history cannot be read.
    """
    newest = next((entry for entry in _history(stack) if entry.get("kind") in _VERBS), {})
    return "" if newest.get("result", "succeeded") == "succeeded" else _VERBS[newest["kind"]]


def _history(stack: str) -> list[dict[str, Any]]:
    """Every run of a stack, newest first; none where there is no such stack."""
    done = captured("stack", "history", "--stack", stack, "--output", "json", "--page-size", _MOST_ENTRIES)
    if done.returncode != 0:
        if "no stack named" in done.stderr:
            return []
        raise EngineError(f"the history of {stack} cannot be read: {done.stderr.strip()[-500:]}")
    found: list[dict[str, Any]] = json.loads(done.stdout or "[]")
    return found


def _last(history: list[dict[str, Any]]) -> str | None:
    """The commit of the newest good update; None after a destroy."""
    for entry in history:
        if entry.get("result") == "succeeded" and entry.get("kind") in _VERBS:
            head = (entry.get("environment") or {}).get("git.head") if entry["kind"] == "update" else None
            return str(head) if head else None
    return None
