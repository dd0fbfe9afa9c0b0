"""Pulumi's own command line, as `make up` and `make down` use it."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from platform_iac.commands.lock import locks

TOP = Path(__file__).resolve().parents[2]
PROJECT = "platform-iac"


class EngineError(RuntimeError):
    """Pulumi refused or failed; says which command to run next."""


def pulumi(*argv: str) -> int:
    """Run `pulumi argv` in the project and return its exit status; its output goes to the terminal.

    Raises:
        EngineError: there is no Pulumi.
    """
    if shutil.which("pulumi") is None:
        raise EngineError("pulumi is not on PATH — run `tools/setup`, then `source tools/env.sh`")
    return subprocess.run(["pulumi", *argv, "--non-interactive"], cwd=TOP, check=False).returncode


def select(stack: str) -> None:
    """Make sure that `stack` exists and that no dead run holds it.

    Raises:
        EngineError: another run holds the stack, or it cannot be created.
    """
    if pulumi("stack", "select", "--create", "--secrets-provider", "passphrase", "--stack", stack) != 0:
        raise EngineError(f"the stack {stack} can be neither selected nor created; see above")
    for lock in locks(os.environ.get("PULUMI_BACKEND_URL", ""), PROJECT, stack):
        if lock.alive is None or lock.alive:
            raise EngineError(
                f"the stack {stack} is in use by {lock} — wait for it, or, if you know that it is dead, "
                f"run `pulumi cancel --yes --stack {stack}`"
            )
        print(f"The last run ({lock}) died and left its lock; `pulumi cancel` releases it.", flush=True)
        pulumi("cancel", "--yes", "--stack", stack)
        _forget_begun(stack)


def _forget_begun(stack: str) -> None:
    """Take out of the state what a dead run had begun to create and not recorded: Pulumi warns of it for ever.

    Only our own resource types: creating one of them again finishes it. Another provider's may be there twice then.
    """
    argv = ["--stack", stack, "--non-interactive"]
    exported = subprocess.run(
        ["pulumi", "stack", "export", *argv], cwd=TOP, capture_output=True, text=True, check=False
    )
    if exported.returncode != 0:
        raise EngineError(f"the state of {stack} cannot be read: {exported.stderr.strip()}")
    state = json.loads(exported.stdout)
    begun = state["deployment"].get("pending_operations") or []
    kept = [operation for operation in begun if not _is_ours_to_create(operation)]
    if kept == begun:
        return
    state["deployment"]["pending_operations"] = kept
    imported = subprocess.run(
        ["pulumi", "stack", "import", *argv],
        cwd=TOP,
        input=json.dumps(state),
        capture_output=True,
        text=True,
        check=False,
    )
    if imported.returncode != 0:
        raise EngineError(f"the state of {stack} cannot be written: {imported.stderr.strip()}")


def _is_ours_to_create(operation: Mapping[str, Any]) -> bool:
    return operation["type"] == "creating" and str(operation["resource"]["type"]).startswith("platform:")
