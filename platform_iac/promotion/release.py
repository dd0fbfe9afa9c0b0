"""A release: the digest of everything that decides what comes out of an `up`."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Final

DECIDES: Final = ("platform_iac", "roles", "policies", "tools", "examples", "Pulumi.yaml", "requirements.lock")
"""Code, roles, policies, the pinned tools and packages. Specs come on top: every one that the stacks are made of."""

CONSENT: Final = "policies/approvals"
"""Who approves a change decides whether it is made and not what comes out: with an approval the release is the same."""


def digest(top: Path) -> str:
    """Return the release of the checkout at `top` as 16 hexadecimal characters.

    All specs count, whichever stack is meant: environments are overlays of each other, and the same release must be
    what was tried one environment below.
    """
    total = hashlib.sha256()
    for path in sorted(_files(top)):
        total.update(f"{path.relative_to(top)}\0".encode())
        total.update(hashlib.sha256(path.read_bytes()).digest())
    return total.hexdigest()[:16]


def _files(top: Path) -> list[Path]:
    found = [path for path in (top / "stacks").glob("*.yaml") if not path.name.startswith("Pulumi.")]
    for part in DECIDES:
        path = top / part
        found += [path] if path.is_file() else [file for file in path.rglob("*") if _counts(file, top / CONSENT)]
    return found


def _counts(path: Path, consent: Path) -> bool:
    approves = path.parent == consent and path.suffix == ".json"
    return path.is_file() and "__pycache__" not in path.parts and not approves
