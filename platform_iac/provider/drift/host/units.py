"""Units: there, running, enabled, and running with what is in their files now."""

from __future__ import annotations

import os
import time
from typing import Any

from platform_iac.provider.drift.host.tools import output

PROPERTIES = (
    "Id,LoadState,ActiveState,SubState,UnitFileState,NeedDaemonReload,Type,Result,RemainAfterExit,"
    "ActiveEnterTimestampMonotonic,StateChangeTimestampMonotonic,ExecMainStartTimestampMonotonic"
)
ENABLED = ("enabled", "enabled-runtime", "static", "alias", "indirect", "generated", "transient")


def wrong(expected: dict[str, Any], differing: set[str]) -> dict[str, list[str]]:
    """Return by unit what is not as it should be, as words.

    Files in `differing` are told of as such already: that a unit has not read them either is no news.
    """
    if not expected:
        return {}
    names = sorted(expected)
    text = output(["systemctl", "show", "--property", PROPERTIES, "--", *names])
    blocks = [dict(line.split("=", 1) for line in block.splitlines() if "=" in line) for block in text.split("\n\n")]
    blocks += [{} for _ in names]
    found = {}
    for name, block in zip(names, blocks):  # noqa: B905
        words = judge(expected[name], block) or unread(expected[name], block, differing)
        if words:
            found[name] = words
    return found


def judge(wanted: dict[str, Any], block: dict[str, str]) -> list[str]:
    """Return what is wrong with a unit's state, whose properties systemd gives as `block`."""
    if block.get("LoadState", "not-found") == "not-found":
        return ["missing"] if wanted.get("enabled", True) or wanted.get("running", True) else []
    words = []
    ran = block.get("ExecMainStartTimestampMonotonic", "0") not in ("", "0") and block.get("Result") == "success"
    oneshot = block.get("Type") == "oneshot" and block.get("RemainAfterExit") != "yes" and ran
    active = block.get("ActiveState") in ("active", "reloading", "activating") or oneshot
    if wanted.get("running", True) and block.get("SubState") == "auto-restart":
        words.append("failing again and again")
    elif wanted.get("running", True) and not active:
        words.append("failed" if block.get("ActiveState") == "failed" else "stopped")
    elif not wanted.get("running", True) and active:
        words.append("running")
    state = block.get("UnitFileState", "")
    if wanted.get("enabled", True) and state not in ENABLED:
        words.append("masked" if state.startswith("masked") else "disabled")
    elif not wanted.get("enabled", True) and state.startswith("enabled"):
        words.append("enabled")
    return words


def unread(wanted: dict[str, Any], block: dict[str, str], differing: set[str]) -> list[str]:
    """Return which files a running unit has not read since they were written: the rule of the module `host_units`."""
    if not wanted.get("running", True) or block.get("ActiveState") != "active":
        return []
    if block.get("NeedDaemonReload") == "yes":
        return ["systemd has not read its unit file since that changed"]
    words: list[str] = []
    for key, since, said in (
        ("restart_on", "ActiveEnterTimestampMonotonic", "started before {} was last written"),
        ("reload_on", "StateChangeTimestampMonotonic", "has not read {} since that was written"),
    ):
        paths = sorted(set(wanted.get(key) or []) - differing)
        words += [said.format(path) for path in paths if _younger(path, block.get(since, "0"))]
    return words


def _younger(path: str, since: str) -> bool:
    """Tell whether a file was written after `since`, monotonic microseconds."""
    if since in ("", "0") or not os.path.exists(path):  # noqa: PTH110
        return False
    return os.stat(path).st_mtime > time.time() - time.monotonic() + int(since) / 1e6  # noqa: PTH116
