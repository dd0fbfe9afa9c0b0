"""Storage `scratch`: the nodes' own NVMe disks as one fast file system each, gone when they are.

Every job finds its TMPDIR on it, removed when the job ends; what people keep there themselves goes when it
has not been touched for some days.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Final, Literal

from pydantic import Field

from platform_iac.kinds.storage import _disks, _shared
from platform_iac.kinds.storage._shared import Mount, Mounted, MountPoint
from platform_iac.plan.context import PlanError
from platform_iac.plan.model import Check, File, Part, Run, Unit
from platform_iac.plan.render import render
from platform_iac.spec.base import setting
from platform_iac.spec.types import PoolName

if TYPE_CHECKING:
    from platform_iac.plan.context import Context
    from platform_iac.plan.model import Host

SYSTEMD: Final = "/etc/systemd/system"


class Spec(Mounted):
    """Local NVMe on the compute hosts: RAID 0, XFS, no copy of anything."""

    kind: Literal["scratch"] = setting(impact="replace", description="Local disks of the nodes.")
    mount: MountPoint = setting("/scratch", impact="drain", description="Where each node mounts its disks.")
    pools: tuple[PoolName, ...] = setting(
        min_length=1, impact="drain", description="Pools with `duty: compute` whose data disks are used."
    )
    days: Annotated[int, Field(ge=1, le=365)] = setting(
        14,
        impact="reconfigure",
        description="What was not read or written for so long is removed, two days later at most.",
    )

    def mounted(self, host: Host, context: Context) -> tuple[Mount, ...]:
        """Return the one mount, on the hosts of its pools."""
        del context
        return (Mount(self.mount, "scratch", _shared.LOCAL),) if host.pool in self.pools else ()

    @property
    def measured(self) -> bool:
        """Never: what a node has alone is no shared storage."""
        return False


def plan(name: str, spec: Spec, context: Context) -> Part:
    """Return the run `scratch`, or `scratch_<name>` where the spec has several.

    Raises:
        PlanError: a pool is not for computing, has no data disks, or is in two of them.
    """
    hosts = _hosts(name, spec, context)
    unit, sweep = f"{SYSTEMD}/{_shared.unit_of(spec.mount)}", f"/etc/tmpfiles.d/{name}.conf"
    arrays = {host.name: _array(name, spec, host, context) for host in hosts}
    common = (
        File(
            path=f"{SYSTEMD}/slurmd.service.d/{name}.conf", content=render("scratch", "needs.conf.j2", path=spec.mount)
        ),
        File(path=sweep, content=render("scratch", "scratch.conf.j2", spec=spec, jobs=_shared.JOBS)),
    )
    return Part(
        runs=(
            Run(
                name="scratch" if _alone(context) else f"scratch_{name}",
                role="scratch",
                hosts=tuple(arrays),
                packages=("mdadm", "xfsprogs"),
                files=tuple(sorted(common, key=lambda file: file.path)),
                host_files={
                    host: (File(path=unit, content=render("scratch", "xfs.mount.j2", array=array, spec=spec)),)
                    for host, array in arrays.items()
                },
                units=(Unit(name=_shared.unit_of(spec.mount), restart_on=(unit,)),),
                vars={"mount": spec.mount, "sweep": sweep},
                host_vars={host: {"array": array.arguments} for host, array in arrays.items()},
                needs=("base",),
                before=_shared.WAITING,
            ),
        )
    )


def checks(name: str, spec: Spec, context: Context) -> tuple[Check, ...]:
    """Return, for each node, that its disks are mounted and everyone may write there."""
    return tuple(
        Check(
            name=f"{host.name} has its scratch at {spec.mount}",
            host=host.name,
            argv=("findmnt", "--noheadings", "--output=FSTYPE,UUID", spec.mount),
            expect=rf"^xfs\s+{_array(name, spec, host, context).filesystem_uuid}$",
        )
        for host in _hosts(name, spec, context)
    )


def _alone(context: Context) -> bool:
    return sum(isinstance(part, Spec) for part in context.spec.storage.values()) == 1


def _hosts(name: str, spec: Spec, context: Context) -> tuple[Host, ...]:
    _shared.no_place_twice(context)
    for pool in spec.pools:
        if (duty := context.spec.pools[pool].duty) != "compute":
            raise PlanError(f"storage.{name}: pool `{pool}` has `duty: {duty}` — name pools with `duty: compute`")
        for other, part in context.spec.storage.items():
            if isinstance(part, Spec) and other != name and pool in part.pools:
                raise PlanError(f"storage.{name}: the disks of pool `{pool}` are `{other}`'s — name it in one of both")
    return tuple(host for host in context.hosts if host.pool in spec.pools)


def _array(name: str, spec: Spec, host: Host, context: Context) -> _disks.Array:
    del spec
    count = sum(disks.count for disks in host.hardware.disks if disks.purpose == "data")
    return _disks.array(name, "raid0" if count > 1 else "none", host, context, asked_by=f"storage.{name}")
