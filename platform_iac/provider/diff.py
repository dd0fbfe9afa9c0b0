"""Property paths of what differs between two values, in Pulumi's syntax."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from typing import Any

from platform_iac.provider.handlers import Change

PLAIN = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")


def step(path: str, key: str) -> str:
    """Return the path of `key` below `path`: `a.b`, or `a["/etc/b"]` where the key is no plain word."""
    if PLAIN.fullmatch(key):
        return f"{path}.{key}" if path else key
    return f"{path}[{json.dumps(key)}]"


def entry(path: str, key: str) -> str:
    """Return the path of an entry that a person named (a host, a file): always `a["key"]`."""
    return f"{path}[{json.dumps(key)}]"


def compare(old: Any, new: Any, path: str, *, named: int = 1) -> Iterator[tuple[str, Change]]:
    """Yield the deepest paths at which two values differ.

    `named` says how many levels below `path` have keys that a person named.
    """
    if old == new:
        return
    if not (isinstance(old, Mapping) and isinstance(new, Mapping)):
        yield path, Change("update")
        return
    for key in sorted({*old, *new}):
        below = entry(path, key) if named > 0 else step(path, key)
        if key not in old:
            yield below, Change("add")
        elif key not in new:
            yield below, Change("delete")
        else:
            yield from compare(old[key], new[key], below, named=named - 1)


def inputs(old: Mapping[str, Any], new: Mapping[str, Any], *, whole: frozenset[str]) -> dict[str, Change]:
    """Return the paths at which inputs differ. Properties in `whole` are compared as one value."""
    changes: dict[str, Change] = {}
    for name in sorted({*old, *new}):
        if name not in old or name not in new:
            changes[name] = Change("delete" if name in old else "add")
        elif name in whole:
            if old[name] != new[name]:
                changes[name] = Change("update")
        elif name == "hosts":
            changes.update(_hosts(old[name], new[name]))
        else:
            changes.update(compare(old[name], new[name], name))
    return changes


def _hosts(old: Any, new: Any) -> Iterator[tuple[str, Change]]:
    if old == new:
        return
    if not (isinstance(old, Mapping) and isinstance(new, Mapping)):
        yield "hosts", Change("update")
        return
    for host in sorted({*old, *new}):
        path = entry("hosts", host)
        if host not in old or host not in new:
            yield path, Change("add" if host in new else "delete")
            continue
        for key in sorted({*old[host], *new[host]}):
            yield from compare(old[host].get(key), new[host].get(key), step(path, key))
