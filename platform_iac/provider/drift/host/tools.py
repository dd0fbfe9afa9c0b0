"""What the other modules of this folder share."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from typing import Any

SECONDS = 30


def output(command: list[str]) -> str:
    """Return what a command says; nothing where it is not there, fails to end, or the like."""
    try:
        done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, timeout=SECONDS, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return done.stdout.decode("utf-8", "replace")


def status(command: list[str]) -> int:
    """Return how a command ends; -1 where it is not there or does not end."""
    try:
        return subprocess.run(
            command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, timeout=SECONDS, check=False
        ).returncode
    except (OSError, subprocess.TimeoutExpired):
        return -1


def differing(items: dict[str, Any], judge: Callable[[str, Any], Any]) -> dict[str, Any]:
    """Return what `judge` finds wrong with each item, by name; those that are right are left out."""
    found = {name: judge(name, item) for name, item in items.items()}
    return {name: wrong for name, wrong in found.items() if wrong}
