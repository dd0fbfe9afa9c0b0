"""What people write about Ceph, and which of it fits together without knowing the hosts."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import AfterValidator, Field, model_validator

from platform_iac.spec.base import Model, setting
from platform_iac.spec.hostlist import HostlistError, expand
from platform_iac.spec.types import AbsolutePath, Cidr, Domain, Label, PoolName, Port, TeamName, wrong

Gib = Annotated[int, Field(ge=1, le=1_048_576)]
DEVICE = "/dev/"


def _devices(text: str) -> str:
    if not text.startswith(DEVICE):
        raise wrong(f"{text[:80]!r} is no list of disks — write device names as a hostlist, as in /dev/nvme[2-9]n1")
    try:
        expand(text.removeprefix(DEVICE), most=64)
    except HostlistError as error:
        raise wrong(str(error)) from error
    return text


Devices = Annotated[str, Field(max_length=200), AfterValidator(_devices)]


class FileSystem(Model):
    """A shared file system, mounted on every client."""

    mount: AbsolutePath = setting(impact="drain", description="Where clients mount it.")
    purpose: Literal["home", "datasets", "scratch", "project", "software"] = setting(
        impact="forbidden",
        description="What it is for. `home` and `scratch` folders are private; in the others everyone may read.",
    )
    quotas_gib: dict[TeamName, Gib] = setting(
        default_factory=dict,
        impact="reconfigure",
        description="Most that a team may keep in it, in GiB; clients stop a little after the limit.",
    )


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


class Spec(Model):
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
    mounted_by: tuple[Literal["login", "compute", "edge", "workstation"], ...] = setting(
        ("login", "compute"), min_length=1, impact="drain", description="Duties whose hosts mount the file systems."
    )

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
        homes = [name for name, filesystem in self.filesystems.items() if filesystem.purpose == "home"]
        if len(homes) > 1:
            raise wrong(f"{', '.join(homes)} all have `purpose: home` — people have one home: keep one")
        if homes and self.filesystems[homes[0]].mount != "/home":
            raise wrong(
                f"homes are at /home on every host, not at {self.filesystems[homes[0]].mount} — write `mount: /home`"
            )
        return self
