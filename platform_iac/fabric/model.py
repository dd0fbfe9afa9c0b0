"""A fabric: switches, the adapters of hosts, and every cable between them.

Names are what `ibnetdiscover` shows as node descriptions: a switch's name, and `<host> <device>` for an
adapter (what `rdma-ndd` sets). GUIDs are 16 hexadecimal digits without `0x`; they are empty where only
the hardware knows them. Ports count from 1, as the vendors print them.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Tier = Literal["leaf", "spine", "core"]
Layer = Literal["node_leaf", "leaf_spine", "spine_core", "manager"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Switch:
    """One switch. A leaf has its scalable unit as `group`, a spine of three tiers its pod; both count from 1."""

    name: str
    tier: Tier
    ports: int
    group: int = 0
    rail: int = 0
    """The rail that a leaf serves, from 1; 0 where it serves all."""
    guid: str = ""
    rack: str = ""
    rack_u: int = 0
    """The lowest unit of its rack that it takes, from 1; 0 where no racks are planned."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Adapter:
    """One port of a host that hangs on the fabric. `rail` counts from 1 and is 0 for a manager's."""

    host: str
    device: str
    rail: int
    group: int = 0
    guid: str = ""
    """That of the port, which `partitions.conf` names and `ibstat` shows as "Port GUID"."""
    rack: str = ""
    rack_u: int = 0
    """The lowest unit of the rack that its host takes, from 1; 0 where no racks are planned."""

    @property
    def name(self) -> str:
        """The node description: host, space, device."""
        return f"{self.host} {self.device}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Cable:
    """One cable from the lower end `a` (an adapter's or a switch's name) up to the switch `b`."""

    layer: Layer
    a: str
    a_port: int
    b: str
    b_port: int
    rate_gbps: int
    length_m: float = 0.0
    medium: str = ""
    """DAC, ACC, AOC or the like, chosen by length and rate; empty where no racks are planned."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Fabric:
    """The whole network between hosts: sorted, and the same for the same spec."""

    kind: str
    tiers: int
    rails: int
    radix: int
    unit: int
    """Node slots of a scalable unit."""
    end_ports: int
    """Ports for adapters in full units, used or left empty: slots x rails."""
    blocking: float
    """End ports to uplinks of a leaf: 1.0 carries everything."""
    switches: tuple[Switch, ...]
    adapters: tuple[Adapter, ...]
    cables: tuple[Cable, ...]
    notes: tuple[str, ...] = ()
    """What a reader should know: how many more nodes fit, what is spread unevenly, …"""

    def of_tier(self, tier: Tier) -> tuple[Switch, ...]:
        """The switches of one tier, in order."""
        return tuple(switch for switch in self.switches if switch.tier == tier)

    def of_layer(self, layer: Layer) -> tuple[Cable, ...]:
        """The cables of one layer, in order."""
        return tuple(cable for cable in self.cables if cable.layer == layer)
