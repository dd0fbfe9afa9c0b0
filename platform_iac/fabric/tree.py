"""From numbers and hosts to every switch, port and cable. Pure: the same input gives the same fabric.

Ports of a leaf count from the nodes: node slot by node slot, then the uplinks. Uplink x of the m-th
of several switches is number m * (uplinks of each) + x among them all and goes to the switch of that
number modulo the switches above: every switch gets the same number of cables, no port is used twice,
and neighbours share their cables as evenly as the numbers allow.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from platform_iac.fabric.model import Adapter, Cable, Fabric, Layer, Switch, Tier
from platform_iac.fabric.notes import notes
from platform_iac.fabric.sizes import FabricError, Size, Wish, size

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

UNPLACED: tuple[str, str] = ("manager-1", "manager-2")
"""What the two managers are called that the spec has cables for but no hosts."""


@dataclass(frozen=True, slots=True, kw_only=True)
class End:
    """A host on the fabric: its ports in rail order. `guids` are as many, or none."""

    host: str
    devices: tuple[str, ...]
    rate_gbps: int
    guids: tuple[str, ...] = ()


def plan(
    kind: str,
    wish: Wish,
    nodes: Sequence[End],
    managers: Sequence[End] = (),
    *,
    switch_guids: Mapping[str, str] | None = None,
) -> Fabric:
    """Return the smallest fabric for `nodes` in order. The managers' cables go round `managers`.

    Hosts with fewer ports than rails share a node slot where they fit. Without `managers` their cables
    end at two hosts that are in no spec (`UNPLACED`).

    Raises:
        FabricError: it cannot be cabled; with the nearest that can.
    """
    ports = list(_node_ports(nodes, wish.rails))
    slots = ports[-1].slot + 1 if ports else 0
    numbers = size(wish, slots)
    rate = max((end.rate_gbps for end in nodes), default=0)
    ports += _manager_ports(numbers, managers, rate)
    leaves, spines, cores = _switches(numbers, switch_guids or {})
    ends = [_plugged(port, numbers, leaves) for port in ports]
    _once(adapter for adapter, _ in ends)
    return Fabric(
        kind=kind,
        tiers=numbers.tiers,
        rails=wish.rails,
        radix=wish.radix,
        unit=numbers.unit,
        end_ports=numbers.end_ports,
        blocking=numbers.down / numbers.up,
        switches=(*leaves, *(spine for pod in spines for spine in pod), *cores),
        adapters=tuple(adapter for adapter, _ in ends),
        cables=(
            *(cable for _, cable in ends),
            *_leaf_spine(numbers, leaves, spines, rate),
            *_spine_core(numbers, spines, cores, rate),
        ),
        notes=notes(numbers, slots),
    )


@dataclass(frozen=True, slots=True)
class _Port:
    """One port of a host, and where it is plugged: node slot from 0, rail of that slot from 1."""

    end: End
    number: int
    slot: int
    rail: int
    layer: Layer


def _node_ports(nodes: Sequence[End], rails: int) -> Iterator[_Port]:
    slot, taken = 0, 0
    for end in nodes:
        count = len(end.devices)
        if not 1 <= count <= rails:
            raise FabricError(
                f"`{end.host}` has {count} ports for {rails} rails — take `rails: {count}`, "
                "other hardware, or leave its pool out of the fabric's `pools`"
            )
        if taken + count > rails:
            slot, taken = slot + 1, 0
        yield from (_Port(end, port, slot, taken + port + 1, "node_leaf") for port in range(count))
        taken += count


def _manager_ports(numbers: Size, managers: Sequence[End], rate_gbps: int) -> Iterator[_Port]:
    """Yield the managers' ports, the first port of every manager first, from the last node slot on."""
    cables, rails = numbers.wish.manager_cables, numbers.wish.rails
    if not managers:
        count = min(cables, len(UNPLACED))
        each = tuple(f"mlx5_{port}" for port in range(-(-cables // count))) if count else ()
        managers = [End(host=host, devices=each, rate_gbps=rate_gbps) for host in UNPLACED[:count]]
    most = max((len(end.devices) for end in managers), default=0)
    ports = [(end, port) for port in range(most) for end in managers if port < len(end.devices)]
    if len(ports) < cables:
        raise FabricError(
            f"{cables} manager cables need as many ports, the hosts with `duty: manager` have {len(ports)} — "
            f"take `manager_cables: {len(ports)}`, or hardware with more ports"
        )
    for number, (end, port) in enumerate(ports[:cables]):
        yield _Port(end, port, numbers.slots - 1 - number // rails, number % rails + 1, "manager")


def _plugged(port: _Port, numbers: Size, leaves: Sequence[Switch]) -> tuple[Adapter, Cable]:
    number, leaf_port = _leaf_port(numbers, port.slot, port.rail)
    leaf, end = leaves[number], port.end
    adapter = Adapter(
        host=end.host,
        device=end.devices[port.number],
        rail=0 if port.layer == "manager" else port.rail,
        group=leaf.group,
        guid=end.guids[port.number] if end.guids else "",
    )
    return adapter, Cable(
        layer=port.layer, a=adapter.name, a_port=1, b=leaf.name, b_port=leaf_port, rate_gbps=end.rate_gbps
    )


def _once(adapters: Iterable[Adapter]) -> None:
    """Return when no adapter has two cables."""
    seen: set[str] = set()
    for adapter in adapters:
        if adapter.name in seen:
            raise FabricError(f"`{adapter.name}` would have two cables — name every port of `{adapter.host}` once")
        seen.add(adapter.name)


def _leaf_port(numbers: Size, slot: int, rail: int) -> tuple[int, int]:
    """Return (number of the leaf from 0, its port from 1) of a rail of a node slot."""
    rails = numbers.wish.rails
    if numbers.wish.design == "rail-optimised":
        return slot // numbers.unit * rails + rail - 1, slot % numbers.unit + 1
    return slot // numbers.leaf_slots, slot % numbers.leaf_slots * rails + rail


def _switches(numbers: Size, guids: Mapping[str, str]) -> tuple[list[Switch], list[list[Switch]], list[Switch]]:
    """Return leaves, the spines of every pod, and cores."""
    radix, two = numbers.wish.radix, numbers.tiers == 2

    def switch(name: str, tier: Tier, group: int = 0, rail: int = 0) -> Switch:
        return Switch(name=name, tier=tier, ports=radix, group=group, rail=rail, guid=guids.get(name, ""))

    leaves = []
    for number in range(numbers.leaves):
        unit, rail = number // numbers.unit_leaves + 1, number % numbers.unit_leaves + 1
        if numbers.wish.design == "rail-optimised":
            leaves.append(switch(f"leaf-{unit:02}-{rail}", "leaf", unit, rail))
        else:
            leaves.append(switch(f"leaf-{number + 1:03}", "leaf", unit))
    spines = [
        [
            switch(f"spine-{one:03}" if two else f"spine-{pod:02}-{one:02}", "spine", 0 if two else pod)
            for one in range(1, count + 1)
        ]
        for pod, (_, count) in enumerate(numbers.pods.each, 1)
    ]
    return leaves, spines, [switch(f"core-{one:03}", "core") for one in range(1, numbers.pods.cores + 1)]


def _leaf_spine(
    numbers: Size, leaves: Sequence[Switch], spines: Sequence[Sequence[Switch]], rate_gbps: int
) -> Iterator[Cable]:
    first = 0
    for (count, _), above in zip(numbers.pods.each, spines, strict=True):
        below = leaves[first : first + count]
        first += count
        for leaf, x, spine, port in _round(below, [numbers.up] * count, above):
            yield Cable(
                layer="leaf_spine",
                a=leaf.name,
                a_port=numbers.node_ports + 1 + x,
                b=spine.name,
                b_port=port,
                rate_gbps=rate_gbps,
            )


def _spine_core(
    numbers: Size, spines: Sequence[Sequence[Switch]], cores: Sequence[Switch], rate_gbps: int
) -> Iterator[Cable]:
    """As many uplinks of a spine as it has cables from leaves."""
    uplinks = {
        spine.name: len(range(rank, leaves * numbers.up, len(pod)))
        for (leaves, _), pod in zip(numbers.pods.each, spines, strict=True)
        for rank, spine in enumerate(pod)
    }
    groups = numbers.pods.groups
    each = len(cores) // groups
    for group in range(groups if cores else 0):
        below = [spine for pod in spines for spine in (pod[group : group + 1] if groups > 1 else pod)]
        above = cores[group * each : (group + 1) * each]
        for spine, x, core, port in _round(below, [uplinks[spine.name] for spine in below], above):
            yield Cable(
                layer="spine_core",
                a=spine.name,
                a_port=numbers.wish.radix // 2 + 1 + x,
                b=core.name,
                b_port=port,
                rate_gbps=rate_gbps,
            )


def _round(
    below: Sequence[Switch], uplinks: Sequence[int], above: Sequence[Switch]
) -> Iterator[tuple[Switch, int, Switch, int]]:
    """Yield (switch below, number of its uplink from 0, switch above, port there from 1), going round those above."""
    number = 0
    for switch, count in zip(below, uplinks, strict=True):
        for x in range(count):
            yield switch, x, above[number % len(above)], number // len(above) + 1
            number += 1
