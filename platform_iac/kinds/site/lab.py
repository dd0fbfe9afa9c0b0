"""Site `lab`: the digital twin, machines made on this computer."""

from __future__ import annotations

from ipaddress import IPv4Network
from typing import TYPE_CHECKING, Literal

from pydantic import field_validator

from platform_iac.kinds.site import _base
from platform_iac.kinds.site._gpu import Driver
from platform_iac.plan.context import PlanError
from platform_iac.spec.base import Model, setting
from platform_iac.spec.site import Site
from platform_iac.spec.types import Label, PoolName, Port, wrong

if TYPE_CHECKING:
    from pathlib import Path

    from pulumi import Resource

    from platform_iac.components.reach import Reach
    from platform_iac.plan import model
    from platform_iac.plan.context import Context
    from platform_iac.plan.model import Check, Part


MOST_DRIVES = 24
"""Each is a device on the one bus that a guest has."""

LONGEST_NAME = 32
"""Of a machine and of a lab: both are parts of paths, cgroups and network devices."""


class Guests(Model):
    """Which hosts of a twin need a kernel of their own, and how large they are made."""

    pools: tuple[PoolName, ...] = setting(
        impact="replace", description="Pools whose hosts are QEMU guests with Debian's kernel; the others share yours."
    )
    memory_mib: int = setting(1024, ge=512, le=65_536, impact="replace", description="Memory of one guest.")
    drive_mib: int = setting(
        1024,
        ge=64,
        le=1_048_576,
        impact="replace",
        description="Size of one drive: a guest has an emulated NVMe for every NVMe data disk of its hardware.",
    )


class Spec(Site):
    """A twin: its machines, network and simulated devices are made and removed with the stack."""

    kind: Literal["lab"] = setting(impact="replace", description="The digital twin on this computer.")
    gpus: Literal["simulated"] = setting(
        "simulated", impact="reimage", description="GPUs are device nodes and a double of nvidia-smi."
    )
    forwards: dict[Label, Port] = setting(
        default_factory=dict,
        impact="none",
        description="Ports on 127.0.0.1 by which people open an endpoint of the platform, by its name.",
    )
    guests: Guests | None = setting(
        None,
        impact="replace",
        description="Hosts with a kernel of their own, for NFS servers, RAID, NVMe and RDMA. Needs QEMU here.",
    )

    @field_validator("forwards")
    @classmethod
    def _one_each(cls, forwards: dict[str, int]) -> dict[str, int]:
        owners: dict[int, str] = {}
        for name, port in forwards.items():
            if (other := owners.setdefault(port, name)) != name:
                raise wrong(f"port {port} is for `{other}` and for `{name}` — give each its own")
        return forwards

    @property
    def reserved(self) -> dict[str, str]:
        """The first address is the twin's gateway and name server."""
        return {str(IPv4Network(self.network)[1]): "the twin's gateway and name server"}

    @property
    def time_servers(self) -> tuple[str, ...]:
        """A twin reaches no server outside; its mirror keeps the time."""
        return ()

    @property
    def driver(self) -> Driver:
        """A twin has no driver; what hardware would get is the default."""
        return Driver()


def plan(name: str, spec: Spec, context: Context) -> Part:
    """Return the runs that every site's hosts get.

    Raises:
        PlanError: a pool cannot be guests, or a name is too long.
    """
    lab = context.spec.name if name == context.spec.name else f"{context.spec.name}-{name}"
    for what in (lab, *(host.name for host in context.hosts if host.site == name)):
        if len(what) > LONGEST_NAME:
            raise PlanError(f"`{what}` is too long for a twin — use up to {LONGEST_NAME} characters")
    for pool in spec.guests.pools if spec.guests else ():
        _can_be_guests(name, pool, context)
    return _base.plan(name, context)


def _can_be_guests(site: str, name: str, context: Context) -> None:
    pool = context.spec.pools[name]
    if pool.site != site:
        raise PlanError(f"pool `{name}` is to be guests of site `{site}`, but is at `{pool.site}` — name it there")
    if pool.duty == "mirror":
        raise PlanError(f"pool `{name}` serves a folder of this computer, which a guest cannot see — leave it out")
    drives = pool.resolved_hardware().data_drives
    if drives > MOST_DRIVES:
        raise PlanError(
            f"a host of pool `{name}` has {drives} NVMe data disks, a guest {MOST_DRIVES} at most — "
            "give the pool fewer with `hardware: {disks: [...]}`"
        )


def checks(name: str, spec: Spec, context: Context) -> tuple[Check, ...]:  # noqa: ARG001
    """Return what proves the site's hosts."""
    return _base.checks(name, context)


def build(site: model.Site, platform: model.Plan, *, parent: Resource, folder: Path) -> Reach:  # noqa: ARG001
    """Declare the lab's mirror, network and machines, and return the way in."""
    from pulumi import ResourceOptions

    from platform_iac.components.lab import Lab

    return Lab(site, platform, ResourceOptions(parent=parent)).reach
