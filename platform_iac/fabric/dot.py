"""A fabric in DOT: for Graphviz, and for what checks cables by it.

Edges are `"node":"port" -- "node":"port"`, as Cumulus Linux's Prescriptive Topology Manager reads them. Graphviz draws
the same text, a cluster for each unit and tier.
"""

from __future__ import annotations

from collections import defaultdict
from types import MappingProxyType
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from platform_iac.fabric.model import Fabric


NOTHING: Final[Mapping[tuple[str, int], str]] = MappingProxyType({})


def write(fabric: Fabric, title: str, ports: Mapping[tuple[str, int], str] = NOTHING) -> str:
    """Return the fabric as an undirected graph: a node for each switch and host, an edge for each cable.

    `ports` are names by end and number, where a port is not called by its number, or a host's by its device.
    """
    return "".join(f"{line}\n" for line in _lines(fabric, title, ports))


def _lines(fabric: Fabric, title: str, ports: Mapping[tuple[str, int], str]) -> Iterator[str]:
    hosts = {adapter.name: (adapter.host, adapter.device) for adapter in fabric.adapters}

    def end(name: str, port: int) -> str:
        node, usual = hosts.get(name, (name, str(port)))
        return f"{quoted(node)}:{quoted(ports.get((name, port), usual))}"

    yield f"graph {quoted(title)} {{"
    yield "  graph [rankdir=BT, ranksep=3, nodesep=0.1, splines=line]"
    yield '  node [shape=box, height=0.2, fontname="sans-serif", fontsize=9]'
    yield "  edge [color=gray50, penwidth=0.4]"
    for cluster, names in _clusters(fabric).items():
        yield f"  subgraph {quoted(f'cluster {cluster}')} {{"
        yield f"    label={quoted(cluster)}"
        yield from (f"    {quoted(name)}" for name in names)
        yield "  }"
    for cable in fabric.cables:
        yield f"  {end(cable.a, cable.a_port)} -- {end(cable.b, cable.b_port)}"
    yield "}"


def _clusters(fabric: Fabric) -> dict[str, list[str]]:
    found: defaultdict[str, list[str]] = defaultdict(list)
    for switch in fabric.switches:
        if switch.tier == "leaf":
            found[f"unit {switch.group}"].append(switch.name)
        elif switch.tier == "spine" and switch.group:
            found[f"spines of pod {switch.group}"].append(switch.name)
        else:
            found[f"{switch.tier}s"].append(switch.name)
    placed: set[str] = set()
    for adapter in fabric.adapters:
        if adapter.host not in placed:
            placed.add(adapter.host)
            found["managers" if adapter.rail == 0 else f"unit {adapter.group}"].append(adapter.host)
    return found


def quoted(text: str) -> str:
    """Return a DOT string: only a quote needs care, and a backslash before it (Graphviz, "The DOT language")."""
    escaped = text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", " ")
    return f'"{escaped}"'
