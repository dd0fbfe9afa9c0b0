"""Stacks that are made for a measurement and removed after it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from platform_iac.lab import paths
from tests.twin import cleanup
from tests.twin.stack import Stack


def new_stack(name: str, spec: Path, home: Path) -> Stack:
    """Make a stack with a backend of its own below `home`. The spec has its name, and at most one lab, `lab`."""
    home.mkdir(parents=True)
    lab = paths.lab_of(name, "lab")
    return Stack(name, spec, home, lab, home / "state" / "platform-iac" / "labs" / lab / "ssh_config")


@contextmanager
def stack(name: str, spec: Path, home: Path) -> Iterator[Stack]:
    """A stack whose twin is removed at the end, whatever happened; that is no part of a measurement."""
    made = new_stack(name, spec, home / name)
    with cleanup.of_lab(made.lab, made.home / "state"):
        yield made
