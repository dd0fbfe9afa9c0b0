"""Pulumi's lock on a stack in a file backend: whose it is, and whether that run still lives."""

from __future__ import annotations

import json
import os
import socket
import time
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlparse


@dataclass(frozen=True, slots=True, kw_only=True)
class Lock:
    """One lock file. `alive` is unknown (None) when it was taken on another machine."""

    path: Path
    pid: int
    owner: str
    age_seconds: int
    alive: bool | None

    def __str__(self) -> str:
        return f"process {self.pid} of {self.owner}, {_said(self.age_seconds)} ago"


def locks(backend: str, project: str, stack: str) -> list[Lock]:
    """Return the locks on `stack` in a `file://` backend; other backends keep their own locks: [].

    The layout is that of Pulumi's DIY backend: `.pulumi/locks/organization/<project>/<stack>/*.json`.
    """
    url = urlparse(backend)
    if url.scheme != "file":
        return []
    folder = Path(url.path) / ".pulumi" / "locks" / "organization" / project / stack
    return [_read(path) for path in sorted(folder.glob("*.json"))]


def _said(seconds: int) -> str:
    for unit, size in (("days", 86400), ("h", 3600), ("min", 60)):
        if seconds >= 2 * size:
            return f"{seconds // size} {unit}"
    return f"{seconds} s"


def _read(path: Path) -> Lock:
    try:
        content = json.loads(path.read_text())
    except (OSError, ValueError):
        content = {}
    host = str(content.get("hostname", ""))
    pid = int(content.get("pid", 0))
    here = host == socket.gethostname()
    return Lock(
        path=path,
        pid=pid,
        owner=f"{content.get('username', 'unknown')}@{host or 'unknown'}",
        age_seconds=int(time.time() - path.stat().st_mtime) if path.exists() else 0,
        alive=_is_pulumi(pid) if here else None,
    )


def _is_pulumi(pid: int) -> bool:
    """Tell whether process `pid` lives and is Pulumi's, so that a reused pid does not keep a lock."""
    try:
        os.kill(pid, 0)
        return Path(f"/proc/{pid}/comm").read_text().strip().startswith("pulumi")
    except (OSError, ProcessLookupError):
        return False
