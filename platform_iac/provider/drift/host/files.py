"""Files: content, mode and owner."""

from __future__ import annotations

import grp
import hashlib
import os
import pwd
import stat
from collections.abc import Callable
from typing import Any

CONTENT_BYTES = 65536


def look(path: str, file: dict[str, Any], salt: str) -> dict[str, Any]:
    """Return how one file differs. The content comes back only where it holds no secret."""
    try:
        status = os.lstat(path)
    except OSError:
        return {"missing": True}
    if not stat.S_ISREG(status.st_mode):
        return {"kind": "link" if stat.S_ISLNK(status.st_mode) else "folder or device"}
    found = {}
    mode = "%04o" % stat.S_IMODE(status.st_mode)  # noqa: UP031
    owner = _name(pwd.getpwuid, status.st_uid) + ":" + _name(grp.getgrgid, status.st_gid)
    if mode != file["mode"]:
        found["mode"] = mode
    if owner != file["owner"]:
        found["owner"] = owner
    with open(path, "rb") as handle:  # noqa: PTH123
        content = handle.read()
    if hashlib.sha256(salt.encode() + content).hexdigest() != file["sha256"]:
        shown = b"" if file["secret"] else content[:CONTENT_BYTES]
        found["content"] = shown.decode("utf-8", "replace")
    return found


def _name(lookup: Callable[[int], Any], number: int) -> str:
    try:
        return str(lookup(number)[0])
    except KeyError:
        return str(number)
