"""Pulumi's own command line, as `make up` and `make down` use it."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from platform_iac.commands import child
from platform_iac.commands.lock import locks
from platform_iac.lab.paths import labs, locked, private_dir

TOP = Path(__file__).resolve().parents[2]
PROJECT = "platform-iac"


class EngineError(RuntimeError):
    """Pulumi refused or failed; says which command to run next."""


def pulumi(*argv: str, top: Path = TOP) -> int:
    """Run `pulumi argv` in the project at `top` and return its exit status; its output goes to the terminal.

    Raises:
        EngineError: there is no Pulumi.
        KeyboardInterrupt: this process was told to stop; Pulumi has ended and its lock is free.
    """
    if shutil.which("pulumi") is None:
        raise EngineError("pulumi is not on PATH — run `tools/setup`, then `source tools/env.sh`")
    return child.run(["pulumi", *argv, "--non-interactive"], cwd=top, env=_env(top)).returncode


def captured(*argv: str, top: Path = TOP) -> subprocess.CompletedProcess[str]:
    """Run `pulumi argv` in the project at `top` without a word on the terminal, and return how it ended."""
    argv = ("pulumi", *argv, "--non-interactive", "--color", "never")
    return child.run(list(argv), cwd=top, env=_env(top), capture=True)


def _env(top: Path) -> dict[str, str]:
    """The environment in which the program and the provider are those of the checkout at `top`."""
    return {**os.environ, "PYTHONPATH": str(top)}


def export(stack: str) -> dict[str, Any]:
    """Return the recorded state of a stack; secrets stay encrypted.

    Raises:
        EngineError: it cannot be read.
    """
    done = captured("stack", "export", "--stack", stack)
    if done.returncode != 0:
        raise EngineError(f"the state of {stack} cannot be read: {done.stderr.strip()}")
    state: dict[str, Any] = json.loads(done.stdout)
    return state


def put(stack: str, text: str, *, top: Path = TOP) -> None:
    """Make `text`, as `export` reads it, the recorded state of a stack.

    Raises:
        EngineError: Pulumi does not take it.
    """
    imported = subprocess.run(
        ["pulumi", "stack", "import", "--stack", stack, "--non-interactive"],
        cwd=top,
        env=_env(top),
        input=text,
        capture_output=True,
        text=True,
        check=False,
    )
    if imported.returncode != 0:
        raise EngineError(f"the state of {stack} cannot be written: {imported.stderr.strip()}")


def select(stack: str, *, quiet: bool = False) -> None:
    """Make sure that `stack` exists and that no dead run holds it; `quiet` keeps Pulumi's own words off the terminal.

    Raises:
        EngineError: another run holds the stack, or it cannot be created.
    """
    argv = ("stack", "select", "--create", "--secrets-provider", "passphrase", "--stack", stack)
    if quiet:
        done = captured(*argv)
        if done.returncode != 0:
            raise EngineError(f"the stack {stack} can be neither selected nor created: {done.stderr.strip()}")
    elif pulumi(*argv) != 0:
        raise EngineError(f"the stack {stack} can be neither selected nor created; see above")
    with locked(private_dir(labs().parent / "locks") / f"{stack.replace('/', '_')}.lock"):
        _let_go_of_dead_locks(stack)


def _let_go_of_dead_locks(stack: str) -> None:
    """Cancel what a dead run holds. One at a time: `pulumi cancel` takes any lock, also one that came since."""
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
    state = export(stack)
    begun = state["deployment"].get("pending_operations") or []
    kept = [operation for operation in begun if not _is_ours_to_create(operation)]
    if kept == begun:
        return
    state["deployment"]["pending_operations"] = kept
    put(stack, json.dumps(state))


def _is_ours_to_create(operation: Mapping[str, Any]) -> bool:
    return operation["type"] == "creating" and str(operation["resource"]["type"]).startswith("platform:")
