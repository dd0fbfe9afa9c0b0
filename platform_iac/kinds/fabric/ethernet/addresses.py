"""Addresses and AS numbers of an Ethernet fabric, from ports alone: they stay when the fabric grows.

Every cable is a network of two addresses (RFC 3021), the switch above has the even one. A switch's cables upward and a
leaf's cables to hosts are blocks of a power of two, so one prefix stands for all hosts of a leaf. The fabric's network
has four quarters: hosts, leaves to spines, spines to cores, and the switches themselves. Each leaf is an AS, and so are
the spines of a pod together and all cores (RFC 7938, 5.2.1), which keeps paths from going down and up again.
"""

from __future__ import annotations

from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from platform_iac.fabric.model import Cable, Fabric, Switch

QUARTERS: Final = {"node_leaf": 0, "manager": 0, "leaf_spine": 1, "spine_core": 2}
"""Of the network, by layer of cables; the fourth holds the switches' own addresses."""

FIRST_LEAF: Final = 100_000
"""AS numbers below the first leaf's are for cores and pods of spines."""


class AddressError(ValueError):
    """The network is too small. Says which is not."""


@dataclass(frozen=True, slots=True)
class Link:
    """The two ends of a cable, as in `Cable`: `a` below and `b` above."""

    a: IPv4Address
    b: IPv4Address


class Addresses:
    """Who has which address on a fabric.

    Raises:
        AddressError: the network has no room for the fabric.
    """

    def __init__(self, fabric: Fabric, network: str, first_asn: int) -> None:
        """Number the switches; nothing of it depends on a host."""
        self.network = IPv4Network(network)
        self.first_asn = first_asn
        self.block = 2 * _power(fabric.radix)
        self._tier = {tier: fabric.of_tier(tier) for tier in ("leaf", "spine", "core")}
        self._number = {switch.name: number for tier in self._tier.values() for number, switch in enumerate(tier)}
        most = max((len(tier) for tier in self._tier.values()), default=0)
        self._quarter = self.network.num_addresses // 4
        if most * self.block > self._quarter:
            wanted = 32 - (4 * _power(most) * self.block - 1).bit_length()
            raise AddressError(
                f"{self.network} has no room for {most:,} switches of {fabric.radix} ports in a tier — "
                f"take a network of /{wanted} or wider"
            )

    def link(self, cable: Cable) -> Link:
        """Return the addresses of a cable."""
        switch, port = (cable.b, cable.b_port) if cable.layer in ("node_leaf", "manager") else (cable.a, cable.a_port)
        first = QUARTERS[cable.layer] * self._quarter + self._number[switch] * self.block + 2 * (port - 1)
        return Link(self.network[first + 1], self.network[first])

    def hosts(self, leaf: Switch) -> IPv4Network:
        """Return the network of all hosts on a leaf."""
        first = self.network[self._number[leaf.name] * self.block]
        return IPv4Network((first, 32 - (self.block - 1).bit_length()))

    def own(self, switch: Switch) -> IPv4Address:
        """Return a switch's own address: its router id."""
        tier = {"leaf": 0, "spine": 2, "core": 3}[switch.tier] * (self._quarter // 4)
        return self.network[3 * self._quarter + tier + self._number[switch.name]]

    def asn(self, switch: Switch) -> int:
        """Return the AS that a switch is in."""
        if switch.tier == "core":
            return self.first_asn
        if switch.tier == "spine":
            return self.first_asn + 1 + switch.group
        return self.first_asn + FIRST_LEAF + self._number[switch.name]


def _power(number: int) -> int:
    """The next power of two."""
    return 1 << max(0, number - 1).bit_length()
