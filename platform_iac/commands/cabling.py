"""`platform-iac cabling`: everything that people need to lay a fabric's cables, and what other tools check them by."""

from __future__ import annotations

import shutil
from collections import Counter
from typing import TYPE_CHECKING, Final

from platform_iac import kinds
from platform_iac.commands import layout
from platform_iac.commands.errors import CommandError
from platform_iac.commands.folder import own
from platform_iac.fabric import dot, page, racks, tables
from platform_iac.plan.context import Context
from platform_iac.plan.make import hosts, wire
from platform_iac.spec.load import load

if TYPE_CHECKING:
    from pathlib import Path

    from platform_iac.fabric.model import Fabric
    from platform_iac.spec.model import Platform

FOLDERS: Final = ("racks", "switches")
"""Folders that are written whole: a list for each rack, and what a kind exports for each switch."""


def cabling(stack: str, *, out: Path) -> int:
    """Write lists, labels, page and exports of a stack's fabric, and say what was written."""
    spec, wired = planned(stack)
    name = spec.name
    try:
        placed = wired if wired.switches[0].rack else racks.place(wired)
    except racks.LayoutError as error:
        raise CommandError(f"{name}: {error}") from error
    own(out)
    for folder in FOLDERS:
        shutil.rmtree(out / folder, ignore_errors=True)  # nothing of a rack or a switch that is no more
    written = files(spec, placed)
    for path, text in written.items():
        (out / path).parent.mkdir(exist_ok=True)
        (out / path).write_text(text, encoding="utf-8", newline="\n")
    shown = [(str(out / path), layout.size(len(text.encode()))) for path, text in written.items() if "/" not in path]
    folders = Counter(path.partition("/")[0] for path in written if "/" in path)
    shown += [(str(out / folder), f"{count} files") for folder, count in folders.items()]
    print(layout.table(f"{name}: {len(placed.cables):,} cables", shown), end="")
    print(layout.table("To buy", [("count", "Gb/s", "medium", "length m"), *tables.bill(placed)]), end="")
    return 0


def planned(stack: str) -> tuple[Platform, Fabric]:
    """Return a stack's spec and its fabric.

    Raises:
        CommandError: it has none.
    """
    spec = load(stack)
    wired = wire(spec, hosts(spec))
    if wired is None:
        raise CommandError(f"{spec.name} has no fabric — add `fabric: {{kind: infiniband}}` to its spec")
    return spec, wired


def files(spec: Platform, placed: Fabric) -> dict[str, str]:
    """Return what is written, by path: lists whole and by rack, the page, and the exports that the kind has."""
    name = spec.name
    found = {
        "cables.csv": tables.whole(placed),
        "cables.md": tables.markdown(placed, name),
        "racks.csv": tables.elevations(placed),
        "fabric.html": page.write(placed, name),
        "fabric.dot": dot.write(placed, name),
    }
    found |= kinds.find("fabric", placed.kind).exports(spec.fabric, Context(spec, hosts(spec), placed))
    return found | {f"racks/{rack}.csv": text for rack, text in tables.by_rack(placed).items()}
