"""What a spec says of an Ethernet fabric for RoCE v2.

Defaults of `Lossless`: RDMA in priority 3, congestion notification (CNP) in priority 6, served first (NVIDIA Onyx user
manual, "RoCE Commands", `show roce`), and ECN marks between 150 kB and 1,500 kB of a queue (Cumulus Linux user guide,
"Quality of Service", `default_ecn_red_conf`). DSCP 26 and 48 are those of guides for NVIDIA adapters, of no manual.
"""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from platform_iac.kinds.fabric._tree import Tree
from platform_iac.spec.base import Model, setting
from platform_iac.spec.types import Cidr, wrong

Priority = Annotated[int, Field(ge=1, le=7)]
Dscp = Annotated[int, Field(ge=1, le=63)]


class Lossless(Model):
    """Which packets are RDMA, and how none of them is lost: PFC on one priority, and ECN before it (DCQCN)."""

    priority: Priority = setting(3, impact="drain", description="Priority of RDMA, the one that PFC pauses.")
    dscp: Dscp = setting(26, impact="drain", description="DSCP of RDMA's packets.")
    cnp_priority: Priority = setting(
        6, impact="drain", description="Priority of congestion notifications, which nothing pauses."
    )
    cnp_dscp: Dscp = setting(48, impact="drain", description="DSCP of congestion notifications.")
    ecn_from_kb: Annotated[int, Field(ge=1, le=100_000)] = setting(
        150, impact="none", description="Switches begin to mark packets where so much of a queue is full, in kB."
    )
    ecn_all_kb: Annotated[int, Field(ge=1, le=100_000)] = setting(
        1500, impact="none", description="From here on every packet is marked, in kB."
    )
    gid_index: Annotated[int, Field(ge=0, le=255)] = setting(
        3, impact="reconfigure", description="Where an adapter has its IPv4 address for RoCE v2 among its GIDs."
    )

    @model_validator(mode="after")
    def _apart(self) -> Self:
        if self.priority == self.cnp_priority or self.dscp == self.cnp_dscp:
            raise wrong(
                "congestion notifications would wait behind the congestion that they tell of — give them another "
                "`cnp_priority` and `cnp_dscp` than RDMA's"
            )
        if self.ecn_from_kb >= self.ecn_all_kb:
            raise wrong(
                f"marks begin at {self.ecn_from_kb} kB and are full at {self.ecn_all_kb} — take a lower first one"
            )
        return self

    @property
    def traffic_class(self) -> int:
        """The byte of the IP header: DSCP, and the two bits that say that the sender knows ECN (RFC 3168, ECT(0))."""
        return self.dscp << 2 | 2


class Spec(Tree):
    """Ethernet for RoCE between the hosts that run jobs: routed to every port, leaves and spines by BGP."""

    kind: Literal["ethernet"] = setting(impact="replace", description="Ethernet, with RDMA by RoCE v2.")
    network: Cidr = setting(
        "100.64.0.0/10",
        impact="drain",
        description="The fabric's addresses, all of them; each cable has two. Not to overlap with a site's network.",
    )
    mtu: Annotated[int, Field(ge=1280, le=9100)] = setting(
        9000, impact="drain", description="Bytes of a packet on a host's port; RDMA's largest message is 4096 of them."
    )
    lossless: Lossless = setting(Lossless(), impact="drain", description="PFC, ECN and DSCP of RDMA.")
    nos: Literal["sonic"] = setting(
        "sonic", impact="none", description="What the switches run, for `platform-iac cabling`: SONiC."
    )
    lanes: Annotated[int, Field(ge=1, le=16)] | None = setting(
        None,
        impact="none",
        description="Lanes of a switch's port, by which SONiC counts; left out, 8 with cables of 400 Gb/s, else 4.",
    )
    first_asn: Annotated[int, Field(ge=64512, le=4294900000)] = setting(
        4_200_000_000, impact="none", description="AS numbers of the switches begin here (RFC 6996: private ones)."
    )
