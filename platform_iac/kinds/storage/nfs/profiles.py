"""What the makers of NFS systems tell clients to set, as data, each with its source."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, Literal

if TYPE_CHECKING:
    from collections.abc import Mapping

Transport = Literal["tcp", "rdma"]
Version = Literal["4.2", "4.1", "3"]
Maker = Literal["vast", "netapp", "pure", "generic"]

PORTS: Final[Mapping[str, int]] = {"tcp": 2049, "rdma": 20049}
"""NFS over TCP, and over RDMA (RFC 8267)."""

MOST_CONNECTIONS: Final = 16
"""Most that the kernel's own client opens for one server (NFS_MAX_CONNECTIONS; about 2 GB/s each)."""


@dataclass(frozen=True, slots=True)
class Profile:
    """The published settings of one maker's clients. The first version is the default."""

    versions: tuple[Version, ...]
    options: Mapping[Transport, tuple[str, ...]]
    source: str
    nconnect: int = 8
    """Connections over TCP with the kernel's own client, where the spec says nothing."""
    vendor: Mapping[Version, tuple[str, ...]] = field(default_factory=dict)
    """Options of the maker's own client, by version; none where the maker has none."""
    metadata_connections: Mapping[Version, int] = field(default_factory=dict)
    """Connections of the maker's client that carry no data, within nconnect."""


_MIB: Final = ("rsize=1048576", "wsize=1048576")

PROFILES: Final[Mapping[str, Profile]] = {
    "generic": Profile(
        versions=("4.1", "4.2", "3"),
        options={"tcp": _MIB, "rdma": _MIB},
        source="Linux: 1 MiB is the most that client and server offer each other (nfs(5))",
    ),
    "netapp": Profile(
        versions=("4.1", "3"),
        options={
            "tcp": ("rsize=262144", "wsize=262144"),
            "rdma": ("max_connect=16", "rsize=262144", "wsize=262144", "write=eager"),
        },
        source="NetApp AIPod with NVIDIA DGX, validation; NFS 4.1 over RDMA from ONTAP 9.14.1 (ONTAP, NFS over RDMA)",
    ),
    "pure": Profile(
        versions=("3", "4.1"),
        options={"tcp": ("rsize=524288", "wsize=524288"), "rdma": ("rsize=524288", "wsize=524288")},
        nconnect=16,
        source="FlashBlade offers 512 KiB transfers; Pure Storage, Use nconnect to increase NFS performance",
    ),
    "vast": Profile(
        versions=("4.1", "3"),
        options={"tcp": _MIB, "rdma": _MIB},
        vendor={
            "4.1": ("pconnect=4",),
            "3": ("lookupcache=pos", "mdconnect=2", "noextend", "pconnect=4", "spread_reads", "spread_writes"),
        },
        metadata_connections={"3": 2},
        source="VAST knowledge base, Client NFS multipathing",
    ),
}


def wanted_connections(transport: Transport, gbps: int) -> int:
    """Return how many connections VAST asks of a client with ports of `gbps` in all.

    TCP: 8 for each 100 Gb/s. RDMA: 2 for each 100 Gb/s, and at least 8 (VAST, Client NFS multipathing).
    """
    hundreds = -(-gbps // 100)
    return max(8, 2 * hundreds) if transport == "rdma" else 8 * hundreds
