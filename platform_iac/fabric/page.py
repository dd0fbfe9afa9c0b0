"""The fabric as a page to look at: a picture by tier, a search, and the table of cables, in one file without a network.

The page holds the fabric as data and draws it itself, so that 49,668 cables are 2 MB and not 50. Its policy forbids
it to load anything; names reach it as text and never as markup.
"""

from __future__ import annotations

import html
import json
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from platform_iac.fabric import tables

if TYPE_CHECKING:
    from platform_iac.fabric.model import Fabric

PARTS: Final = Path(__file__).parent / "web"

HOSTS_IN_ONE_PICTURE: Final = 160
"""Above this the units are drawn closed, and one at a time is opened."""


def write(fabric: Fabric, title: str) -> str:
    """Return the page. Wants a fabric with racks (see `racks.place`)."""
    parts = {
        "title": html.escape(f"{title}: fabric"),
        "style": (PARTS / "page.css").read_text(encoding="utf-8"),
        "script": (PARTS / "page.js").read_text(encoding="utf-8"),
        "data": embedded(data(fabric, title)),
    }
    text = (PARTS / "page.html").read_text(encoding="utf-8")
    return re.sub("@@(title|style|script|data)@@", lambda mark: parts[mark[1]], text)


def data(fabric: Fabric, title: str) -> dict[str, Any]:
    """Return what the page draws: nodes, and cables by the numbers of their nodes."""
    nodes: dict[str, list[Any]] = {}
    for tier in ("core", "spine", "leaf"):
        for switch in fabric.of_tier(tier):
            nodes[switch.name] = [
                switch.name,
                tier,
                switch.group,
                switch.rail,
                switch.rack,
                switch.ports,
                switch.rack_u,
            ]
    ends: dict[str, tuple[str, str, int]] = {}
    for adapter in fabric.adapters:
        kind = "host" if adapter.rail else "manager"
        node = nodes.setdefault(adapter.host, [adapter.host, kind, adapter.group, 0, adapter.rack, 0, adapter.rack_u])
        node[5] += 1
        ends[adapter.name] = (adapter.host, adapter.device, adapter.rail)
    number = {name: n for n, name in enumerate(nodes)}
    media = sorted({cable.medium for cable in fabric.cables})
    rails = {switch.name: switch.rail for switch in fabric.switches}
    cables = []
    for cable in fabric.cables:
        host, device, rail = ends.get(cable.a, (cable.a, "", rails.get(cable.a, 0)))
        port: str | int = cable.a_port
        if device:
            port = device if cable.a_port == 1 else f"{device}.{cable.a_port}"
        bought = (cable.length_m, media.index(cable.medium), cable.rate_gbps)
        cables.append([number[host], port, number[cable.b], cable.b_port, rail, *bought])
    return {
        "title": title,
        "kind": {"infiniband": "InfiniBand", "ethernet": "Ethernet"}.get(fabric.kind, fabric.kind),
        "tiers": fabric.tiers,
        "rails": fabric.rails,
        "endPorts": fabric.end_ports,
        "blocking": fabric.blocking,
        "notes": list(fabric.notes),
        "open": HOSTS_IN_ONE_PICTURE,
        "media": media,
        "nodes": list(nodes.values()),
        "cables": cables,
        "bill": tables.bill(fabric),
    }


def embedded(content: Any) -> str:
    """Return JSON that cannot end the element it stands in (HTML, "Restrictions for contents of script elements")."""
    text = json.dumps(content, separators=(",", ":"), ensure_ascii=True)
    return text.replace("&", "\\u0026").replace("<", "\\u003c").replace(">", "\\u003e")
