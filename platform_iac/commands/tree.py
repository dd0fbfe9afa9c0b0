"""Git: the commits of a checkout, each in a tree of its own where that is needed."""

from __future__ import annotations

import contextlib
import subprocess
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from platform_iac.commands.errors import CommandError

if TYPE_CHECKING:
    from collections.abc import Iterator

TIMEOUT_SECONDS = 120


def git(where: Path, *arguments: str) -> str:
    """Return what a git command says.

    Raises:
        CommandError: it failed.
    """
    done = subprocess.run(
        ["git", *arguments], cwd=where, capture_output=True, text=True, timeout=TIMEOUT_SECONDS, check=False
    )
    if done.returncode != 0:
        raise CommandError(f"git {arguments[0]}: {done.stderr.strip()[:300]} — name a revision of this repository")
    return done.stdout.strip()


@contextlib.contextmanager
def checkout(top: Path, commit: str) -> Iterator[Path]:
    """Check a commit out beside the repository, and remove it again."""
    with tempfile.TemporaryDirectory(prefix="platform-iac-tree-") as folder:
        tree = Path(folder).resolve() / "checkout"
        git(top, "worktree", "add", "--quiet", "--detach", str(tree), commit)
        try:
            yield tree
        finally:
            git(top, "worktree", "remove", "--force", str(tree))
