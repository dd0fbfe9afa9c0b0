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
    done = captured("stack", "history", "--stack", stack, "--output", "json", "--page-size", _MOST_ENTRIES)
    if done.returncode != 0:
        if "no stack named" in done.stderr:
            return None
        raise EngineError(f"the history of {stack} cannot be read: {done.stderr.strip()[-500:]}")
    found = _last(json.loads(done.stdout or "[]"))
    if found is None:
        return None
    try:
        return git(TOP, "rev-parse", "--verify", "--end-of-options", f"{found}^{{commit}}")
    except CommandError:
        raise CommandError(
            f"{stack} runs commit {found[:12]}, which this clone does not have: what changes cannot be judged "
            "— `git fetch` it"
        ) from None


def _last(history: list[dict[str, Any]]) -> str | None:
    """The commit of the newest good update; None after a destroy."""
    for entry in history:
        if entry.get("result") == "succeeded" and entry.get("kind") in ("update", "destroy"):
            head = (entry.get("environment") or {}).get("git.head") if entry["kind"] == "update" else None
            return str(head) if head else None
    return None
