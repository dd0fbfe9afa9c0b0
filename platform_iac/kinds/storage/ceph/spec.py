"""What people write about Ceph, and which of it fits together without knowing the hosts."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Final, Literal, Self

from pydantic import AfterValidator, Field, model_validator

from platform_iac.kinds.storage._shared import Duty, FileSystem, Gib, Mount, Mounted
from platform_iac.spec.base import Model, setting
from platform_iac.spec.hostlist import HostlistError, expand
from platform_iac.spec.types import Cidr, Domain, Label, PoolName, Port, wrong

if TYPE_CHECKING:
    from platform_iac.plan.context import Context
    from platform_iac.plan.model import Host

DEVICE: Final = "/dev/"
TYPES: Final = {"fuse": "fuse.ceph-fuse", "kernel": "ceph"}
"""What /proc/mounts calls a file system, by client."""


def _devices(text: str) -> str:
    if not text.startswith(DEVICE):
        raise wrong(f"{text[:80]!r} is no list of disks — write device names as a hostlist, as in /dev/nvme[2-9]n1")
    try:
        expand(text.removeprefix(DEVICE), most=64)
    except HostlistError as error:
        raise wrong(str(error)) from error
    return text


Devices = Annotated[str, Field(max_length=200), AfterValidator(_devices)]


class Bucket(Model):
    """A bucket of the object store, with an account of its own that owns it."""

    quota_gib: Gib = setting(impact="reconfigure", description="Most that may be in it, in GiB.")


class S3(Model):
    """The object store, answered by a gateway on every storage host."""

    port: Port = setting(7480, impact="restart", description="TCP port of the gateways.")
    endpoint: Domain | None = setting(
        None,
        impact="restart",
        description="Name under which clients reach the gateways, as a load balancer's; left out, the first host.",
    )
    buckets: dict[Label, Bucket] = setting(
        default_factory=dict, impact="reconfigure", description="Buckets by name; MLflow takes the one of its own name."
    )


class Spec(Mounted):
    """An all-flash Ceph cluster on hosts of our own."""

    kind: Literal["ceph"] = setting(impact="replace", description="Ceph: CephFS and RGW (S3).")
    pool: PoolName = setting(impact="replace", description="Pool with `duty: storage` whose hosts are the cluster.")
    devices: Devices | None = setting(
        None,
        impact="replace",
        description="Data disks of each host as a hostlist of device names: `/dev/nvme[2-25]n1`. Not for a twin.",
    )
    twin_disk_gib: Annotated[int, Field(ge=2, le=64)] = setting(
        8, impact="replace", description="Size of the sparse file that stands in for a twin's one data disk."
    )
    replicas: Annotated[int, Field(ge=3, le=5)] = setting(
        3, impact="reconfigure", description="Copies of everything, each on another host."
    )
    min_replicas: Annotated[int, Field(ge=2, le=4)] = setting(
        2, impact="reconfigure", description="Copies without which nothing is written; one could be the last."
    )
    monitors: Annotated[int, Field(ge=3, le=9)] = setting(
        3,
        impact="restart",
        description="Hosts that hold the cluster's map, an odd number; more than half of them must be up.",
    )
    cluster_network: Cidr | None = setting(
        None, impact="restart", description="Network for traffic between the disks; left out, it shares the clients'."
    )
    filesystems: dict[Label, FileSystem] = setting(
        default_factory=dict, impact="drain", description="Shared file systems by name."
    )
    s3: S3 | None = setting(None, impact="restart", description="The object store; left out, there is none.")
    client: Literal["fuse", "kernel"] = setting(
        "fuse", impact="drain", description="How file systems are mounted: in user space, or by the kernel's client."
    )
    mounted_by: tuple[Duty, ...] = setting(
        ("login", "compute"), min_length=1, impact="drain", description="Duties whose hosts mount the file systems."
    )

    def mounted(self, host: Host, context: Context) -> tuple[Mount, ...]:
        """Return every file system of it, on hosts of the cluster's own site with a duty that mounts them."""
        if host.duty not in self.mounted_by or host.site != context.spec.pools[self.pool].site:
            return ()
        return tuple(Mount(own.mount, own.purpose, (TYPES[self.client],)) for own in self.filesystems.values())

    @property
    def measured(self) -> bool:
        """Whether one of the file systems has floors."""
        return any(own.floors for own in self.filesystems.values())

    @model_validator(mode="after")
    def _fits(self) -> Self:
        if self.monitors % 2 == 0:
            raise wrong(f"{self.monitors} monitors may lose no more than {self.monitors - 1} — write an odd number")
        if self.min_replicas >= self.replicas:
            raise wrong(
                f"min_replicas {self.min_replicas} is not below replicas {self.replicas}: one lost host would stop all "
                f"writes — write {self.replicas - 1} or less"
            )
        if not self.filesystems and self.s3 is None:
            raise wrong("there is neither `filesystems` nor `s3` — say what the cluster is for")
        mounts = [filesystem.mount for filesystem in self.filesystems.values()]
        for one in mounts:
            if mounts.count(one) > 1:
                raise wrong(f"two file systems are mounted at {one} — give each its own mount point")
            for other in mounts:
                if other.startswith(f"{one}/"):
                    raise wrong(f"{other} lies inside {one} — mount file systems beside each other")
        return self
