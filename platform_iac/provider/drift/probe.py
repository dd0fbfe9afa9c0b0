"""Runs on the host, as text sent over ssh: standard library only, Python 3.9 or newer, reads and never writes.

`probe(expected)` answers only what differs, so a host that is as it should be answers next to nothing.
"""

from __future__ import annotations

import grp
import hashlib
import os
import pwd
import stat
import subprocess
from collections.abc import Callable
from typing import Any

CONTENT_BYTES = 65536
PROPERTIES = (
    "Id,LoadState,ActiveState,SubState,UnitFileState,Type,Result,RemainAfterExit,ExecMainStartTimestampMonotonic"
)
ENABLED = ("enabled", "enabled-runtime", "static", "alias", "indirect", "generated", "transient")


def probe(expected: dict[str, Any]) -> dict[str, Any]:
    """Return what differs, by kind and name."""
    return {
        "files": _differing(expected["files"], lambda path, file: look(path, file, expected["salt"])),
        "packages": packages(expected["packages"]),
        "units": units(expected["units"]),
        "users": _differing(expected["users"], user),
    }


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


def packages(names: list[str]) -> list[str]:
    """Return the packages that are not installed."""
    if not names:
        return []
    command = ["dpkg-query", "-W", "-f", "${db:Status-Status}\t${Package}\t${Provides}\n"]
    installed = set()
    for line in _output(command).splitlines():
        state, package, provides = [*line.split("\t"), "", ""][:3]
        if state == "installed":
            installed.add(package)
            installed.update(item.split()[0] for item in provides.split(",") if item.strip())
    return [name for name in names if name.split("=")[0].split("/")[0].split(":")[0] not in installed]


def units(expected: dict[str, Any]) -> dict[str, list[str]]:
    """Return by unit what is not as it should be, as words."""
    if not expected:
        return {}
    names = sorted(expected)
    text = _output(["systemctl", "show", "--property", PROPERTIES, "--", *names])
    blocks = [dict(line.split("=", 1) for line in block.splitlines() if "=" in line) for block in text.split("\n\n")]
    blocks += [{} for _ in names]
    found = {}
    for name, block in zip(names, blocks):  # noqa: B905
        wrong = _unit(expected[name], block)
        if wrong:
            found[name] = wrong
    return found


def _unit(wanted: dict[str, Any], block: dict[str, str]) -> list[str]:
    if block.get("LoadState", "not-found") == "not-found":
        return ["missing"] if wanted.get("enabled", True) or wanted.get("running", True) else []
    wrong = []
    ran = block.get("ExecMainStartTimestampMonotonic", "0") not in ("", "0") and block.get("Result") == "success"
    oneshot = block.get("Type") == "oneshot" and block.get("RemainAfterExit") != "yes" and ran
    active = block.get("ActiveState") in ("active", "reloading", "activating") or oneshot
    if wanted.get("running", True) and block.get("SubState") == "auto-restart":
        wrong.append("failing again and again")
    elif wanted.get("running", True) and not active:
        wrong.append("failed" if block.get("ActiveState") == "failed" else "stopped")
    elif not wanted.get("running", True) and active:
        wrong.append("running")
    state = block.get("UnitFileState", "")
    if wanted.get("enabled", True) and state not in ENABLED:
        wrong.append("masked" if state.startswith("masked") else "disabled")
    elif not wanted.get("enabled", True) and state.startswith("enabled"):
        wrong.append("enabled")
    return wrong


def user(name: str, wanted: dict[str, Any]) -> dict[str, Any]:
    """Return how one account differs."""
    try:
        found = pwd.getpwnam(name)
    except KeyError:
        return {"missing": True}
    wrong: dict[str, Any] = {}
    if found.pw_uid != wanted["uid"]:
        wrong["uid"] = found.pw_uid
    if wanted.get("shell") and found.pw_shell != wanted["shell"]:
        wrong["shell"] = found.pw_shell
    member = {group.gr_name for group in grp.getgrall() if name in group.gr_mem or group.gr_gid == found.pw_gid}
    lacking = sorted(set(wanted.get("groups") or []) - member)
    if lacking:
        wrong["groups"] = lacking
    return wrong


def _differing(items: dict[str, Any], judge: Callable[[str, Any], dict[str, Any]]) -> dict[str, Any]:
    found = {name: judge(name, item) for name, item in items.items()}
    return {name: wrong for name, wrong in found.items() if wrong}


def _name(lookup: Callable[[int], Any], number: int) -> str:
    try:
        return str(lookup(number)[0])
    except KeyError:
        return str(number)


def _output(command: list[str]) -> str:
    try:
        done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, timeout=30, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return done.stdout.decode("utf-8", "replace")
