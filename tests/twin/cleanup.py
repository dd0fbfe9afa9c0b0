"""Removal of a lab by its name, after tests that failed, were interrupted, or left it."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path

from platform_iac.lab import whole
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


@contextlib.contextmanager
def in_state(state: Path) -> Iterator[None]:
    """Let the lab library find, in this process, the labs of a state folder."""
    before = os.environ.get("XDG_STATE_HOME")
    os.environ["XDG_STATE_HOME"] = str(state)
    try:
        yield
    finally:
        os.environ.pop("XDG_STATE_HOME")
        if before is not None:
            os.environ["XDG_STATE_HOME"] = before
