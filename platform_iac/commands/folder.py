"""A folder that a command writes and may write again: it touches nothing that it did not make."""

from __future__ import annotations

from typing import TYPE_CHECKING

from platform_iac.commands.errors import CommandError

if TYPE_CHECKING:
    from pathlib import Path

MARK = "made-by-platform-iac"


def own(directory: Path) -> None:
    """Make the folder, or take one that an earlier call made.

    Raises:
        CommandError: it holds something else.
    """
    if directory.exists() and not directory.is_dir():
        raise CommandError(f"{directory} is no directory — name a new or empty one")
    if directory.exists() and any(directory.iterdir()) and not (directory / MARK).exists():
        raise CommandError(f"{directory} holds something else — name a new or empty directory")
    directory.mkdir(parents=True, exist_ok=True)
    (directory / MARK).touch()
