"""Which discovered node is which planned one: by GUID, by name, or by where its cables go.

Names are what somebody set and GUIDs what nobody wrote down: unmanaged switches are all called
`Quantum Mellanox Technologies`, an adapter before `rdma-ndd` ran is `MT4129 ConnectX7`, a cloned image
gives two hosts one name. Where neither tells, a node is the planned one whose ports it stands on.
"""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from typing import TYPE_CHECKING, Final

from platform_iac.fabric.model import Switch

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from platform_iac.fabric.ibnet import Discovery, Found
    from platform_iac.fabric.model import Adapter, Fabric

Port = tuple[str, int]
"""A node (by planned name, or by id where it has none) and one of its ports."""

AGGREGATION: Final = "Aggregation Node"
"""Ends the name of SHARP's own node inside a switch (`Mellanox Technologies Aggregation Node`): no cable goes there."""

MANAGED: Final = re.compile(r"MF\d+;([^:]+):.*")
"""How a managed switch wraps its host name: `MF0;leaf-01-1:MQM9700/U1`."""


def planned_nodes(plan: Fabric) -> Mapping[str, Switch | Adapter]:
    """Return every switch and adapter of the plan by name."""
    nodes: list[Switch | Adapter] = [*plan.switches, *plan.adapters]
    return {node.name: node for node in nodes}


def real(found: Discovery) -> Mapping[str, Found]:
    """Return the discovered nodes that cables go to."""
    return {id: node for id, node in found.nodes.items() if AGGREGATION not in node.name}


def identify(plan: Fabric, found: Discovery) -> Mapping[str, str]:
    """Return the planned name of each discovered node that has one, by id: GUIDs decide before names before places."""
    nodes = real(found)
    planned = planned_nodes(plan)
    names = _by_guid(planned, nodes)
    names |= _by_name(planned, nodes, names)
    _by_place(plan, planned, found, names, nodes)
    return names


def words(name: str) -> Iterator[str]:
    """Yield what a node description may mean: itself, a managed switch's own name, an adapter's host without domain."""
    yield name
    if managed := MANAGED.fullmatch(name):
        yield managed[1]
    host, _, device = name.partition(" ")
    if "." in host and device:
        yield f"{host.partition('.')[0]} {device}"


def _by_guid(planned: Mapping[str, Switch | Adapter], nodes: Mapping[str, Found]) -> dict[str, str]:
    owners = {guid: id for id, node in nodes.items() for guid in (node.guid, *node.port_guids) if guid}
    ports = {guid: id for id, node in nodes.items() for guid in node.port_guids}
    found: dict[str, str] = {}
    for name, node in planned.items():
        guid = node.guid.lower()
        # The number of an adapter's node may be that of another one's port: the port decides.
        if id := (owners.get(guid) if isinstance(node, Switch) else ports.get(guid, owners.get(guid))):
            found.setdefault(id, name)
    return found


def _by_name(
    planned: Mapping[str, Switch | Adapter], nodes: Mapping[str, Found], known: Mapping[str, str]
) -> dict[str, str]:
    given = set(known.values())
    claims: defaultdict[str, list[str]] = defaultdict(list)
    for id, node in nodes.items():
        name = next((word for word in words(node.name) if word in planned), "")
        if (
            id not in known
            and name
            and name not in given
            and isinstance(planned[name], Switch) == (node.kind == "switch")
        ):
            claims[name].append(id)
    return {ids[0]: name for name, ids in claims.items() if len(ids) == 1}


def _by_place(
    plan: Fabric,
    planned: Mapping[str, Switch | Adapter],
    found: Discovery,
    names: dict[str, str],
    nodes: Mapping[str, Found],
) -> None:
    """Add to `names` the nodes most of whose cables are those of a planned node that was not found, again and again."""
    wanted: dict[Port, Port] = {}
    for cable in plan.cables:
        wanted[cable.a, cable.a_port] = (cable.b, cable.b_port)
        wanted[cable.b, cable.b_port] = (cable.a, cable.a_port)
    links: defaultdict[str, list[tuple[int, str, int]]] = defaultdict(list)
    for link in found.links:
        links[link.a].append((link.a_port, link.b, link.b_port))
        links[link.b].append((link.b_port, link.a, link.a_port))
    while True:
        missing = planned.keys() - names.values()
        votes: list[tuple[int, str, str]] = []
        for id in sorted(nodes.keys() - names.keys()) if missing else ():
            known = [(own, names[peer], port) for own, peer, port in links[id] if peer in names]
            meant = Counter(
                name
                for own, peer, port in known
                for name, wanted_port in [wanted.get((peer, port), ("", 0))]
                if name in missing
                and wanted_port == own
                and isinstance(planned[name], Switch) == (nodes[id].kind == "switch")
            )
            votes += [(-count, id, name) for name, count in meant.items() if 2 * count > len(known)]
        if not votes:
            return
        for _, id, name in sorted(votes):
            if id not in names and name in missing:
                names[id] = name
                missing = missing - {name}
