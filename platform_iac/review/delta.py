"""The difference of two plans, in hosts, files and resources.

Plans come as the JSON values that `plan.export.value` makes, since the older one may have been made by older code.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final, Literal

Json = Mapping[str, Any]
What = Literal["added", "removed", "changed"]
PARTS = ("packages", "units", "users", "vars")


@dataclass(frozen=True, slots=True, kw_only=True)
class Side:
    """One state of the platform: its plan, and the digest of every role that the plan runs."""

    plan: Json
    digests: Mapping[str, str]


EMPTY: Final = Side(plan={"hosts": [], "runs": [], "checks": [], "fabric": None}, digests={})
"""Where there is no platform."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FileChange:
    """One file that is another now, and the hosts where it is. `before` and `after` are empty where there is none."""

    run: str
    path: str
    hosts: tuple[str, ...]
    what: What
    before: str = ""
    after: str = ""
    attributes: tuple[str, ...] = ()
    """Changes of mode, owner and group: `mode 0644 → 0600`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RunChange:
    """What changes in one role run. `hosts` are those that `up` logs in to for it."""

    run: str
    what: What
    hosts: tuple[str, ...]
    parts: tuple[str, ...] = ()
    """What changed beside files: `packages`, `units`, `users`, `vars`, `role`, `hosts`."""
    files: tuple[FileChange, ...] = ()
    restarts: tuple[str, ...] = ()
    """Units that restart on the hosts where a file of theirs changes."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Delta:
    """Everything that differs; all empty for equal plans."""

    added: tuple[str, ...] = ()
    removed: tuple[str, ...] = ()
    runs: tuple[RunChange, ...] = ()
    checks: tuple[int, int] = (0, 0)
    resources: Mapping[str, int] = field(default_factory=dict)
    """Role resources by what happens to them: create, update, delete, same."""

    @property
    def touched(self) -> tuple[str, ...]:
        """Every host that the next `up` logs in to, sorted."""
        return tuple(sorted({host for run in self.runs if run.what != "removed" for host in run.hosts}))


def delta(base: Side, head: Side) -> Delta:
    """Return what differs between two sides."""
    old, new = _by_name(base.plan["runs"]), _by_name(head.plan["runs"])
    names = [*new, *(name for name in old if name not in new)]
    runs = tuple(change for name in names if (change := _run(name, old.get(name), new.get(name), base, head)))
    before, after = _hosts(base), _hosts(head)
    what = [change.what for change in runs]
    return Delta(
        added=tuple(name for name in after if name not in before),
        removed=tuple(name for name in before if name not in after),
        runs=runs,
        checks=(len(base.plan["checks"]), len(head.plan["checks"])),
        resources={
            "create": what.count("added"),
            "update": what.count("changed"),
            "delete": what.count("removed"),
            "same": len(new) - what.count("added") - what.count("changed"),
        },
    )


def _hosts(side: Side) -> list[str]:
    return [host["name"] for host in side.plan["hosts"]]


def _by_name(things: Iterable[Json]) -> dict[str, Json]:
    return {thing["name"]: thing for thing in things}


def _run(name: str, old: Json | None, new: Json | None, base: Side, head: Side) -> RunChange | None:
    if old is None or new is None:
        there: Json = new or old or {}
        what: What = "added" if old is None else "removed"
        return RunChange(
            run=name, what=what, hosts=tuple(there["hosts"]), parts=("role",), files=_files(name, old, new)
        )
    files = _files(name, old, new)
    parts = [part for part in PARTS if old.get(part) != new.get(part)]
    if (old["role"], base.digests.get(old["role"])) != (new["role"], head.digests.get(new["role"])):
        parts.append("role")
    own = {host for host in new["hosts"] if old["host_vars"].get(host) != new["host_vars"].get(host)}
    joined = {host for host in new["hosts"] if host not in old["hosts"]}
    left = {host for host in old["hosts"] if host not in new["hosts"]}
    if own - joined:
        parts.append("vars of single hosts")
    if joined or left:
        parts.append("hosts")
    if not parts and not files:
        return None
    everywhere = bool({*parts} & {*PARTS, "role"}) or any(set(file.hosts) >= set(new["hosts"]) for file in files)
    hosts = set(new["hosts"]) if everywhere else own | joined | {host for file in files for host in file.hosts}
    changed = {file.path for file in files}
    restarts = sorted(unit["name"] for unit in new["units"] if changed & set(unit["restart_on"]))
    return RunChange(
        run=name,
        what="changed",
        hosts=tuple(host for host in new["hosts"] if host in hosts),
        parts=tuple(parts),
        files=files,
        restarts=tuple(restarts),
    )


def _files(run: str, old: Json | None, new: Json | None) -> tuple[FileChange, ...]:
    """Return changed files; hosts where a file changes in the same way share one entry."""
    before, after = _on_hosts(old), _on_hosts(new)
    stay = [host for host in (new or old or {})["hosts"] if old is None or new is None or host in old["hosts"]]
    found: dict[tuple[str, str, str, What, tuple[str, ...]], list[str]] = {}
    for host in stay:
        mine, theirs = before.get(host, {}), after.get(host, {})
        for path in sorted({*mine, *theirs}):
            one, other = mine.get(path), theirs.get(path)
            if one == other:
                continue
            what: What = "added" if one is None else "removed" if other is None else "changed"
            key = (
                path,
                one["content"] if one else "",
                other["content"] if other else "",
                what,
                _attributes(one, other),
            )
            found.setdefault(key, []).append(host)
    return tuple(
        FileChange(run=run, path=path, hosts=tuple(hosts), what=what, before=one, after=other, attributes=attributes)
        for (path, one, other, what, attributes), hosts in sorted(found.items(), key=lambda item: item[0])
    )


def _on_hosts(run: Json | None) -> dict[str, dict[str, Json]]:
    """Return each host's files of a run by path; a host's own stand before the common ones."""
    if run is None:
        return {}
    common = {file["path"]: file for file in run["files"]}
    return {
        host: {**common, **{file["path"]: file for file in run["host_files"].get(host, ())}} for host in run["hosts"]
    }


def _attributes(one: Json | None, other: Json | None) -> tuple[str, ...]:
    if one is None or other is None:
        return ()
    return tuple(
        f"{name} {one[name]} → {other[name]}" for name in ("mode", "owner", "group") if one[name] != other[name]
    )
