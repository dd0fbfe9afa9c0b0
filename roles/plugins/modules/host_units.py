#!/usr/bin/python
"""Enable, start, restart and reload systemd units in one task, or stop and disable them."""

from __future__ import annotations

import contextlib
import subprocess
import time
from pathlib import Path
from typing import Any

from ansible.module_utils.basic import AnsibleModule

DOCUMENTATION = r"""
module: host_units
short_description: Bring many systemd units to the state they should be in
description:
  - Units are started and restarted in one transaction each, so that systemd orders them.
  - A unit is also restarted when a file of its C(restart_on) is younger than the unit's start, so an
    interrupted run is made good by the next one.
  - In check mode a unit that is not there yet counts as a change, not as a failure.
options:
  units:
    description: Name to enabled, running (both default true), restart_on and reload_on (lists of paths).
    type: dict
    required: true
  changed_paths:
    description: Files that this run has changed.
    type: list
    elements: str
    default: []
  state:
    description:
      - V(absent) stops and disables the units; one that is not there is fine. systemd keeps no word of one that failed,
        before or as it stopped.
    choices: [present, absent]
    default: present
    type: str
"""

RETURN = r"""
actions:
  description: What was done, or in check mode would be, as `systemctl` words.
  type: list
"""

PROPERTIES = (
    "Id,LoadState,ActiveState,SubState,UnitFileState,NeedDaemonReload,Type,Result,RemainAfterExit,"
    "ActiveEnterTimestampMonotonic,StateChangeTimestampMonotonic,ExecMainStartTimestampMonotonic"
)
UNIT_FOLDERS = ("/etc/systemd/system/", "/lib/systemd/system/", "/usr/lib/systemd/system/")
ENABLED = {"enabled", "enabled-runtime", "static", "alias", "indirect", "generated", "transient"}
VERBS = ("unmask", "enable", "disable", "stop", "restart", "start", "reload")
TIMEOUT_SECONDS = 300
SETTLE_SECONDS = 0.5
RESTART_SECONDS = 10
"""Longest that a unit which has just died is awaited while systemd is about to start it anew."""


class UnitError(RuntimeError):
    """systemd did not do what was asked; says why."""


def systemctl(*words: str) -> str:
    """Run systemctl and return its output.

    Raises:
        UnitError: it failed or took longer than TIMEOUT_SECONDS.
    """
    try:
        done = subprocess.run(
            ["systemctl", *words], capture_output=True, text=True, timeout=TIMEOUT_SECONDS, check=False
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise UnitError(f"systemctl {' '.join(words)}: {error}") from error
    if done.returncode != 0:
        raise UnitError(f"systemctl {' '.join(words)}: {done.stderr.strip() or done.stdout.strip()}")
    return done.stdout


def show(names: list[str], *, check: bool) -> dict[str, dict[str, str]]:
    """Return systemd's properties of each unit, in one call."""
    if not names:
        return {}
    try:
        text = systemctl("show", "--property", PROPERTIES, "--", *names)
    except UnitError:
        if not check:
            raise
        text = ""  # no systemd here yet: everything would change
    blocks = [dict(line.split("=", 1) for line in block.splitlines() if "=" in line) for block in text.split("\n\n")]
    blocks += [{} for _ in names]
    return {name: {"LoadState": "not-found", **block} for name, block in zip(names, blocks, strict=False)}


def active(unit: dict[str, str]) -> bool:
    """Whether the unit runs; a oneshot that has run well and left nothing running counts."""
    if unit.get("ActiveState") in ("active", "reloading"):
        return True
    ran = unit.get("ExecMainStartTimestampMonotonic", "0") not in ("", "0")
    return unit.get("Type") == "oneshot" and ran and unit.get("Result") == "success" and not _remains(unit)


def touched(paths: list[str], changed: set[str], since: str | None) -> bool:
    """Whether one of `paths` is in `changed` or was written after `since` (monotonic microseconds)."""
    if changed & set(paths):
        return True
    if since in (None, "", "0"):
        return False
    moment = time.time() - time.monotonic() + int(since or 0) / 1e6
    return any(Path(path).exists() and Path(path).stat().st_mtime > moment for path in paths)


def decide(
    units: dict[str, dict[str, Any]], state: dict[str, dict[str, str]], changed: set[str]
) -> list[tuple[str, list[str]]]:
    """Return what has to be done, verb by verb, in the order in which to do it."""
    todo: dict[str, list[str]] = {verb: [] for verb in VERBS}
    for name, wanted in sorted(units.items()):
        unit = state[name]
        enabled, running = wanted.get("enabled", True), wanted.get("running", True)
        if unit["LoadState"] == "masked" and (enabled or running):
            todo["unmask"].append(name)
        if enabled and unit.get("UnitFileState") not in ENABLED:
            todo["enable"].append(name)
        if not enabled and unit.get("UnitFileState", "").startswith("enabled"):
            todo["disable"].append(name)
        if not running:
            todo["stop"] += [name] if active(unit) else []
        elif not active(unit):
            todo["start"].append(name)
        elif touched(wanted.get("restart_on") or [], changed, unit.get("ActiveEnterTimestampMonotonic")):
            todo["restart"].append(name)
        elif touched(wanted.get("reload_on") or [], changed, unit.get("StateChangeTimestampMonotonic")):
            todo["reload"].append(name)
    return [(verb, names) for verb, names in todo.items() if names]


def undo(units: dict[str, dict[str, Any]], state: dict[str, dict[str, str]]) -> list[tuple[str, list[str]]]:
    """Return what stops and disables the units that are there."""
    stop = [name for name in sorted(units) if state[name].get("ActiveState") not in (None, "", "inactive", "failed")]
    disable = [name for name in sorted(units) if state[name].get("UnitFileState", "").startswith("enabled")]
    return [(verb, names) for verb, names in (("stop", stop), ("disable", disable)) if names]


def forgive(names: list[str]) -> None:
    """Forget how often units were started and how they ended.

    systemd refuses a unit that was started too often, be it by crashes or by the runs of a busy half-hour, and lists
    one that failed even when its file is gone.
    """
    if not names:
        return
    with contextlib.suppress(UnitError):  # one that systemd has not loaded was never started
        systemctl("reset-failed", "--", *names)


def failures(names: list[str]) -> list[str]:
    """Return a sentence for each of these units that does not run.

    A unit that systemd starts anew by itself (C(Restart=)) has this one chance: what it needs may have come late.
    """
    state = show(names, check=False)
    if any(map(_restarts, state.values())):
        _await_restart(names)
        state = show(names, check=False)
    return [
        f"{name} is {unit.get('ActiveState', 'unknown')} ({unit.get('Result', '')}): {_journal(name)}"
        for name, unit in state.items()
        if _restarts(unit) or not (active(unit) or unit.get("ActiveState") == "activating")
    ]


def _await_restart(names: list[str]) -> None:
    """Wait until systemd has started anew what died, and a moment more, as after our own start."""
    end = time.monotonic() + RESTART_SECONDS
    while any(map(_restarts, show(names, check=False).values())) and time.monotonic() < end:
        time.sleep(SETTLE_SECONDS)
    time.sleep(SETTLE_SECONDS)


def _restarts(unit: dict[str, str]) -> bool:
    return unit.get("SubState") == "auto-restart"


def _remains(unit: dict[str, str]) -> bool:
    return unit.get("RemainAfterExit") == "yes"


def _journal(name: str) -> str:
    try:
        done = subprocess.run(
            ["journalctl", "--no-pager", "--output=cat", "--lines=10", "--unit", name],
            capture_output=True, text=True, timeout=30, check=False,
        )  # fmt: skip
    except (OSError, subprocess.TimeoutExpired):
        return "its journal cannot be read"
    return " | ".join(done.stdout.split("\n")).strip(" |") or "its journal says nothing"


def apply(units: dict[str, dict[str, Any]], changed: set[str], *, absent: bool, check: bool) -> list[str]:
    """Bring the units to their state; return what was done, or with `check` would be."""
    state = show(sorted(units), check=check)
    stale = any(path.startswith(UNIT_FOLDERS) for path in changed)
    stale = stale or any(unit.get("NeedDaemonReload") == "yes" for unit in state.values())
    stale = stale or not (absent or check or all(unit["LoadState"] != "not-found" for unit in state.values()))
    done = ["daemon-reload"] if stale else []
    if stale and not check:
        systemctl("daemon-reload")
        state = show(sorted(units), check=check)
    if not (absent or check) and (gone := [name for name, unit in state.items() if unit["LoadState"] == "not-found"]):
        raise UnitError(f"no such unit on this host: {', '.join(gone)}")
    todo = undo(units, state) if absent else decide(units, state, changed)
    problems = []
    started: list[str] = []
    for verb, names in todo:
        done.append(f"{verb} {' '.join(names)}")
        if check:
            continue
        if verb in ("start", "restart"):
            started += names
            forgive(names)
        try:
            systemctl(verb, "--", *names)
        except UnitError as error:
            problems.append(str(error))
    if absent and not check:
        state = show(sorted(units), check=False)
        forgive([name for name, unit in state.items() if unit.get("ActiveState") == "failed"])
    if started:
        time.sleep(SETTLE_SECONDS)  # a `Type=simple` service that cannot read its configuration dies only now
        problems += failures(started)
    if problems:
        raise UnitError("; ".join(problems))
    return done


def main() -> None:
    """Run as an Ansible module."""
    module = AnsibleModule(
        argument_spec={
            "units": {"type": "dict", "required": True},
            "changed_paths": {"type": "list", "elements": "str", "default": []},
            "state": {"type": "str", "default": "present", "choices": ["present", "absent"]},
        },
        supports_check_mode=True,
    )
    parameters = module.params
    try:
        done = apply(
            parameters["units"],
            set(parameters["changed_paths"]),
            absent=parameters["state"] == "absent",
            check=module.check_mode,
        )
    except UnitError as error:
        module.fail_json(msg=str(error))
    text = "".join(f"{action}\n" for action in done)
    module.exit_json(changed=bool(done), actions=done, diff={"before": "", "after": text} if done else {})


if __name__ == "__main__":
    main()
