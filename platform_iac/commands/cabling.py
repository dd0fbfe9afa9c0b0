"""`platform-iac cabling`: everything that people need to lay a fabric's cables, and what other tools check them by."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING

from platform_iac.commands import layout
from platform_iac.commands.errors import CommandError
from platform_iac.commands.folder import own
from platform_iac.fabric import dot, ibnet, page, racks, tables
from platform_iac.plan.make import hosts, wire
from platform_iac.spec.load import load

if TYPE_CHECKING:
    from pathlib import Path

    from platform_iac.fabric.model import Fabric


def cabling(stack: str, *, out: Path) -> int:
    """Write lists, labels, page and exports of a stack's fabric, and say what was written."""
    name, wired = planned(stack)
    try:
        placed = racks.place(wired)
    except racks.LayoutError as error:
        raise CommandError(f"{name}: {error}") from error
    own(out)
    shutil.rmtree(out / "racks", ignore_errors=True)  # no list of a rack that is no more
    (out / "racks").mkdir()
    written = files(name, placed)
    for path, text in written.items():
        (out / path).write_text(text, encoding="utf-8", newline="\n")
    shown = [(str(out / path), layout.size(len(text.encode()))) for path, text in written.items() if "/" not in path]
    shown.append((str(out / "racks"), f"{len(written) - len(shown)} lists"))
    print(layout.table(f"{name}: {len(placed.cables):,} cables", shown), end="")
    print(layout.table("To buy", [("count", "Gb/s", "medium", "length m"), *tables.bill(placed)]), end="")
    return 0


def planned(stack: str) -> tuple[str, Fabric]:
    """Return a stack's name and its fabric.

    Raises:
        CommandError: it has none.
    """
    spec = load(stack)
    wired = wire(spec, hosts(spec))
    if wired is None:
        raise CommandError(f"{spec.name} has no fabric — add `fabric: {{kind: infiniband}}` to its spec")
    return spec.name, wired


def files(name: str, placed: Fabric) -> dict[str, str]:
    """Return what is written, by path: lists whole and by rack, the page, and the exports that the kind has."""
    found = {
        "cables.csv": tables.whole(placed),
        "cables.md": tables.markdown(placed, name),
        "fabric.html": page.write(placed, name),
        "fabric.dot": dot.write(placed, name),
    }
    if placed.kind == "infiniband":
        found["fabric.ibnetdiscover"] = ibnet.write(placed)
    return found | {f"racks/{rack}.csv": text for rack, text in tables.by_rack(placed).items()}
