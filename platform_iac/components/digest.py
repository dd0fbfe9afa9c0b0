"""The digest of a role: changes when any file that decides what the role does changes."""

from __future__ import annotations

import hashlib
from functools import cache
from typing import TYPE_CHECKING

from platform_iac.plan.render import ROLES

if TYPE_CHECKING:
    from pathlib import Path


@cache
def role_digest(role: str) -> str:
    """Return the SHA-256 (hexadecimal) over the role's files and the shared plugins that it calls.

    Templates are left out: their text reaches the host through the plan. Words are left out too.
    """
    own = _files(ROLES / role)
    said = b"\n".join(path.read_bytes() for path in own if path.suffix == ".yml")
    plugins = [path for path in _files(ROLES / "plugins") if f"{path.stem}:".encode() in said]
    digest = hashlib.sha256()
    for path in sorted([*own, *plugins]):
        digest.update(f"{path.relative_to(ROLES)}\0".encode())
        digest.update(path.read_bytes())
        digest.update(b"\0")
    return digest.hexdigest()


def _files(top: Path) -> list[Path]:
    unrelated = {"templates", "__pycache__"}
    return [
        path
        for path in top.rglob("*")
        if path.is_file() and not unrelated & set(path.relative_to(top).parts) and path.suffix != ".md"
    ]
