"""What people write about NFS, and which of it fits together without knowing the hosts."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Final, Literal, Self

from pydantic import Field, model_validator

from platform_iac.kinds.storage._shared import Gib, Mount, Shared
from platform_iac.kinds.storage.nfs.profiles import (
    MOST_CONNECTIONS,
    PORTS,
    PROFILES,
    Maker,
    Profile,
    Transport,
    Version,
)
from platform_iac.spec.base import Model, setting
from platform_iac.spec.types import AbsolutePath, Cidr, IPv4, Label, PoolName, Port, TeamName, wrong

if TYPE_CHECKING:
    from platform_iac.plan.context import Context
    from platform_iac.plan.model import Host

FILESYSTEMS: Final = ("nfs", "nfs4")


class System(Model):
    """An all-flash system that serves NFS by itself."""

    profile: Maker = setting(impact="drain", description="Whose system it is: decides the clients' settings.")
    addresses: tuple[IPv4, ...] = setting(
        min_length=1,
        impact="drain",
        description="Addresses that it answers at. The maker's client uses all; else hosts are spread over them.",
    )
    export: AbsolutePath = setting(impact="drain", description="The path that it exports.")
    client: Literal["kernel", "vendor"] = setting(
        "kernel",
        impact="drain",
        description="Linux's own client, or the maker's, which the hosts' image must have (VAST).",
    )
    capacity_gib: Gib | None = setting(
        None,
        impact="none",
        description="What the export can hold; quotas are added up against it, and set only on the system itself.",
    )
    folders_by: Label | None = setting(
        None,
        impact="reconfigure",
        description="The one client for which the system does not squash root: it makes the members' folders.",
    )


class Servers(Model):
    """A host of ours that serves its own NVMe disks."""

    pool: PoolName = setting(impact="replace", description="Pool with `duty: storage`.")
    host: Label | None = setting(
        None, impact="replace", description="The host of the pool that serves this; left out where the pool has one."
    )
    address: IPv4 | None = setting(
        None, impact="drain", description="The host's address for clients (IPoIB); left out, its address at the site."
    )
    daemon: Literal["knfsd", "ganesha"] = setting(
        "knfsd", impact="drain", description="The kernel's server, or NFS-Ganesha in user space (TCP only)."
    )
    raid: Literal["raid10", "raid6", "none"] = setting(
        "raid10", impact="replace", description="How the data disks are joined; `none` is for a single one."
    )
    threads: Annotated[int, Field(ge=1, le=4096)] = setting(
        64, impact="restart", description="Requests that are worked on at once."
    )
    lease_seconds: Annotated[int, Field(ge=10, le=300)] = setting(
        45, impact="restart", description="After a restart of the server, clients wait this long to reclaim locks."
    )
    networks: tuple[Cidr, ...] = setting(
        (), impact="reconfigure", description="Networks that may mount it; left out, those of the clients' sites."
    )


class Spec(Shared):
    """A shared file system over NFS: from an all-flash system, or from NVMe servers of our own."""

    kind: Literal["nfs"] = setting(impact="replace", description="NFS.")
    quotas_gib: dict[TeamName, Gib] = setting(
        default_factory=dict,
        impact="reconfigure",
        description="Most that each team's members may keep in it together, in GiB; a team left out has no limit. Set "
        "where `served_by` is a host of ours; with `server` it is planned here only, and must be set on that system.",
    )
    server: System | None = setting(None, impact="drain", description="An all-flash system that serves it.")
    served_by: Servers | None = setting(None, impact="replace", description="Hosts of ours that serve it.")
    transport: Transport = setting("tcp", impact="drain", description="What carries it.")
    port: Port | None = setting(
        None, impact="drain", description="Port of the server; left out, 2049 over TCP and 20049 over RDMA."
    )
    version: Version | None = setting(
        None, impact="drain", description="Version of the protocol; left out, what the system's maker publishes."
    )
    nconnect: Annotated[int, Field(ge=1, le=128)] | None = setting(
        None, impact="drain", description="Connections of each client; left out, what the system's maker publishes."
    )
    network: Literal["storage", "compute", "management"] = setting(
        "storage", impact="drain", description="Purpose of the ports that carry it, on clients and on our servers."
    )
    security: Literal["sys", "krb5", "krb5i", "krb5p"] = setting(
        "sys",
        impact="drain",
        description="`sys`: the server believes the clients' user ids: mount only on hosts whose root is yours.",
    )
    gpudirect: bool = setting(
        default=False,
        impact="drain",
        description="GPUDirect Storage on clients with GPUs: from the network into GPU memory. Not on a twin.",
    )

    def mounted(self, host: Host, context: Context) -> tuple[Mount, ...]:
        """Return the one mount, on hosts with a duty that mounts it."""
        del context
        return (Mount(self.mount, self.purpose, FILESYSTEMS),) if host.duty in self.mounted_by else ()

    @property
    def holds_state(self) -> bool:
        """Not where another system serves it: data stays there."""
        return self.served_by is not None

    @property
    def profile(self) -> Profile:
        """The published settings that hold for its clients."""
        return PROFILES[self.server.profile if self.server else "generic"]

    @property
    def spoken(self) -> Version:
        """The version of the protocol."""
        return self.version or self.profile.versions[0]

    @property
    def listens(self) -> int:
        """The server's port."""
        return self.port or PORTS[self.transport]

    @property
    def vendor_client(self) -> bool:
        """Whether the maker's own client mounts it."""
        return self.server is not None and self.server.client == "vendor"

    @model_validator(mode="after")
    def _fits(self) -> Self:
        if (self.server is None) == (self.served_by is None):
            raise wrong(
                "it must be clear who serves it — write `server` for an all-flash system, or `served_by` for hosts of "
                "ours, one of them"
            )
        if self.security != "sys":
            raise wrong(
                f"`security: {self.security}` needs a Kerberos realm, which no kind sets up yet — write `sys`, and "
                "mount on hosts only whose root is yours"
            )
        self._transport()
        self._connections()
        return self

    def _transport(self) -> None:
        other = "rdma" if self.transport == "tcp" else "tcp"
        if self.listens == PORTS[other]:
            raise wrong(
                f"port {self.listens} is for {other.upper()}, the transport is {self.transport} — write "
                f"`transport: {other}`, or leave `port` out for {PORTS[self.transport]}"
            )
        if self.spoken not in self.profile.versions:
            known = ", ".join(self.profile.versions)
            who = self.server.profile if self.server else "such a"
            raise wrong(f"a {who} system does not serve NFS {self.spoken} — write one of: {known}")
        if self.served_by and self.spoken == "3":
            raise wrong("our own servers serve NFS 4 only: one port, no portmapper — leave `version` out")
        if self.served_by and self.served_by.daemon == "ganesha" and self.transport == "rdma":
            raise wrong("Debian's NFS-Ganesha 4.3 is built without RDMA — write `daemon: knfsd`, or `transport: tcp`")
        if self.transport == "rdma" and self.network == "management":
            raise wrong("RDMA does not go over management ports — write `network: storage` or `network: compute`")
        if self.gpudirect and self.transport != "rdma":
            raise wrong("GPUDirect Storage over NFS needs RDMA — write `transport: rdma`, or leave `gpudirect` out")

    def _connections(self) -> None:
        if self.vendor_client and not self.profile.vendor:
            name = self.server.profile if self.server else ""
            raise wrong(f"there is no client of {name}'s own known here — write `client: kernel`")
        if self.nconnect is None:
            return
        if self.vendor_client and self.server:
            data = self.nconnect - self.profile.metadata_connections.get(self.spoken, 0)
            ports = len(self.server.addresses)
            if data < 1 or data % ports:
                beside = self.nconnect - data
                extra = f" and {beside} for metadata" if beside else ""
                raise wrong(
                    f"{self.nconnect} connections cannot be spread evenly over {ports} addresses{extra} — write a "
                    f"multiple of {ports}{f' plus {beside}' if beside else ''}"
                )
        elif self.transport == "rdma" and self.nconnect > 1:
            raise wrong(
                f"Linux 6.1 (Debian 12) silently ignores nconnect={self.nconnect} over RDMA — leave `nconnect` out, "
                "or write `transport: tcp`"
            )
        elif self.nconnect > MOST_CONNECTIONS:
            raise wrong(
                f"Linux opens {MOST_CONNECTIONS} connections to a server at most, nconnect is {self.nconnect} — lower "
                "it; only a maker's own client (`client: vendor`) opens more"
            )
