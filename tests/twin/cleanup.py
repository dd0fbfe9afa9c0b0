"""Removal of labs: by name after tests that failed or left one, and of all of a run that was interrupted."""

from __future__ import annotations

import contextlib
import os
import re
from collections.abc import Iterator
from pathlib import Path

from platform_iac.lab import paths, whole
from tests.twin import processes


@contextlib.contextmanager
def of_lab(lab: str, state: Path) -> Iterator[None]:
    """At the end kill what still works for the lab's state folder and remove the lab."""
    try:
        yield
    finally:
        processes.kill(set(processes.find(f"XDG_STATE_HOME={state}")) - processes.of_lab(lab))
        with in_state(state):
            whole.remove(lab)


@contextlib.contextmanager
def of_processes(state: Path) -> Iterator[None]:
    """At the end kill what still works for this state folder."""
    try:
        yield
    finally:
        processes.kill(processes.find(f"XDG_STATE_HOME={state}"))


def of_run(mark: str) -> list[str]:
    """Remove the labs that still work for a run of tests, and return their names.

    `mark` is a variable in the environment of all that the run started. A worker that is interrupted or runs past
    a test's limit ends at once, and its labs would stay.
    """
    left = {(lab, processes.variable(pid, "XDG_STATE_HOME")) for pid in processes.find(mark) for lab in _labs(pid)}
    for lab, state in sorted(left):
        with in_state(Path(state) if state else None):
            whole.remove(lab)
    return sorted(lab for lab, _ in left)


def _labs(pid: int) -> set[str]:
    """Return the lab whose control group a process is in, none or one."""
    return {found[1] for line in processes.groups(pid) if (found := re.search(rf"/{paths.PREFIX}/([^/]+)", line))}


@contextlib.contextmanager
def in_state(state: Path | None) -> Iterator[None]:
    """Let the lab library find, in this process, the labs of a state folder; None is the usual one."""
    before = os.environ.pop("XDG_STATE_HOME", None)
    if state is not None:
        os.environ["XDG_STATE_HOME"] = str(state)
    try:
        yield
    finally:
        os.environ.pop("XDG_STATE_HOME", None)
        if before is not None:
            os.environ["XDG_STATE_HOME"] = before
