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


def select(stack: str, *, quiet: bool = False, create: bool = True) -> None:
    """Make sure that `stack` exists and that no dead run holds it; `quiet` keeps Pulumi's own words off the terminal.

    Raises:
        EngineError: another run holds the stack, or it cannot be created, or is not there and is not to be created.
    """
    argv = ("stack", "select", *(("--create", "--secrets-provider", "passphrase") if create else ()), "--stack", stack)
    if quiet:
        done = captured(*argv)
        if done.returncode != 0:
            said = done.stderr.strip()
            if create:
                raise EngineError(f"the stack {stack} can be neither selected nor created: {said}")
            raise EngineError(
                f"the stack {stack} cannot be selected: {said} — unless it was brought down, set PULUMI_BACKEND_URL to "
                "the backend that it is in, and PULUMI_CONFIG_PASSPHRASE(_FILE) to its passphrase; nothing was touched"
            )
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
    A Role that was being updated runs again on all its hosts, also where the spec goes back to what it was.
    """
    state = export(stack)
    deployment = state["deployment"]
    begun = deployment.get("pending_operations") or []
    updates = {operation["resource"]["urn"]: operation["resource"] for operation in begun if _is_a_role_s(operation)}
    kept = [each for each in begun if not (_is_ours_to_create(each) or _is_a_role_s(each))]
    if kept == begun:
        return
    for resource in deployment.get("resources") or []:
        if resource["urn"] in updates and not resource.get("delete"):
            _mark_half_done(resource["outputs"], updates[resource["urn"]]["inputs"])
    deployment["pending_operations"] = kept
    put(stack, json.dumps(state))


def _mark_half_done(outputs: dict[str, Any], begun: Mapping[str, Any]) -> None:
    """Record in a Role's outputs that no host has all of it, and what else the dead run may have left there."""
    outputs["applied"] = dict.fromkeys(outputs.get("applied") or {}, "")
    outputs["begun"] = {name: value for name, value in begun.items() if name != "secrets"}


def _is_ours_to_create(operation: Mapping[str, Any]) -> bool:
    return operation["type"] == "creating" and str(operation["resource"]["type"]).startswith("platform:")


def _is_a_role_s(operation: Mapping[str, Any]) -> bool:
    return operation["type"] == "updating" and str(operation["resource"]["type"]) == "platform:ansible:Role"
