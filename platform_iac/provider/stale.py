"""What earlier inputs put on a host and present ones no longer ask for."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from platform_iac.provider import wanted
from platform_iac.provider.runner.play import Job

KEPT = ("role", "packages", "units", "users", "vars")


def find(old_inputs: Mapping[str, Any], olds: Mapping[str, Any], news: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """Return by host what is to be removed there, together with what earlier runs could not remove.

    A host that left has `teardown` and all that the role needs for it; one that comes back before that ran keeps
    what is planned, and the rest is removed there. Files hold placeholders, never secrets, so this may be stored in
    clear.
    """
    earlier = owed(old_inputs, olds)
    present = wanted.hosts(news)
    touched = {*(olds.get("applied") or {}), *(olds.get("failed") or {})}
    found: dict[str, dict[str, Any]] = {}
    for host, entry in wanted.hosts(old_inputs).items():
        if host not in present:
            if host in touched:
                shared = {name: old_inputs[name] for name in KEPT if name in old_inputs}
                before = earlier.get(host, {})
                found[host] = {
                    **shared,
                    "teardown": True,
                    "files": {**before.get("files", {}), **wanted.files(old_inputs, host)},
                    "units": {**before.get("units", {}), **old_inputs.get("units", {})},
                    "vars": wanted.variables(old_inputs, host),
                    "host": {key: entry[key] for key in ("address", "hostKey") if key in entry},
                }
        elif left := _on_staying(old_inputs, news, host, earlier.get(host, {})):
            found[host] = left
    for host, left in earlier.items():
        if host not in found and host not in present:
            found[host] = dict(left)
        elif host in present and left.get("teardown") and (back := _on_staying(left, news, host, {})):
            found[host] = back
    return found


def owed(inputs: Mapping[str, Any], outputs: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """Return by host what earlier runs could not remove, and what one that died in the middle may have begun.

    `begun` are that run's inputs; `commands` writes them into the state when it finds such a run.
    """
    earlier: dict[str, dict[str, Any]] = dict(outputs.get("leftovers") or {})
    if begun := outputs.get("begun"):
        earlier |= find(begun, {"applied": wanted.hosts(begun), "leftovers": earlier}, inputs)
    return earlier


def for_play(left: Mapping[str, Any]) -> dict[str, Any]:
    """Return what the playbook removes from a host that stays."""
    return {name: left.get(name, {}) for name in ("files", "units", "watchers")}


def teardown_of(left: Mapping[str, Any], host: str, news: Mapping[str, Any]) -> Job:
    """Return the job that removes the role from a host that left."""
    inputs = {name: left[name] for name in (*KEPT, "files") if name in left}
    inputs |= {name: news[name] for name in ("sshConfig", "secrets", "platform") if name in news}
    return Job({**inputs, "hosts": {host: left["host"]}}, (host,), teardown=True)


def _on_staying(
    old: Mapping[str, Any], news: Mapping[str, Any], host: str, earlier: Mapping[str, Any]
) -> dict[str, Any]:
    new_files = wanted.files(news, host)
    before = {**earlier.get("files", {}), **wanted.files(old, host)}
    files = {path: file for path, file in before.items() if path not in new_files}
    new_units = news.get("units", {})
    every = {**earlier.get("units", {}), **old.get("units", {})}
    units = {name: unit for name, unit in every.items() if name not in new_units}
    watchers = {
        name: unit
        for name, unit in {**earlier.get("watchers", {}), **old.get("units", {})}.items()
        if name in new_units and files.keys() & {*unit.get("restart_on", []), *unit.get("reload_on", [])}
    }
    return {"files": files, "units": units, "watchers": watchers} if files or units else {}
