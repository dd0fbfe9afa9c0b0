"""Data disks of hosts: how they are joined, what that leaves, and what the role needs to find them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, Literal

from platform_iac.kinds.storage import _shared
from platform_iac.plan.context import PlanError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from platform_iac.plan.context import Context
    from platform_iac.plan.model import Host
    from platform_iac.spec.hardware import Disks

Level = Literal["raid10", "raid6", "raid0", "none"]

LEAST: Final[Mapping[str, int]] = {"raid10": 4, "raid6": 5, "raid0": 2, "none": 1}
"""Fewest disks of a level: below, another one loses less space or survives more (md(4))."""

SURVIVES: Final[Mapping[str, str]] = {
    "raid10": "the loss of one disk, and of further ones that are not its mirror",
    "raid6": "the loss of two disks",
    "raid0": "no loss: a broken disk takes everything",
    "none": "no loss: a broken disk takes everything",
}

OVERHEAD: Final = 0.02
"""What md's superblocks, XFS's log, inodes and free-space trees take (an estimate), and room
for the trees to grow."""

GIB: Final = 2**30


@dataclass(frozen=True, slots=True)
class Array:
    """The data disks of one host as one XFS file system."""

    name: str
    level: Level
    disks: Disks
    array_uuid: str
    filesystem_uuid: str

    @property
    def usable_gib(self) -> int:
        """What people can keep in it."""
        count, size = self.disks.count, self.disks.size_gb * 1_000_000_000
        whole = {"raid10": count * size // 2, "raid6": (count - 2) * size}.get(self.level, count * size)
        return int(whole * (1 - OVERHEAD) / GIB)

    @property
    def device(self) -> str:
        """Where the file system is found, whatever the kernel calls the disks."""
        return f"/dev/disk/by-uuid/{self.filesystem_uuid}"

    @property
    def arguments(self) -> dict[str, Any]:
        """The arguments of the module `host_array`."""
        return {
            "name": self.name,
            "level": self.level,
            "array_uuid": self.array_uuid,
            "filesystem_uuid": self.filesystem_uuid,
            "kind": self.disks.kind,
            "count": self.disks.count,
            "size_gb": self.disks.size_gb,
        }


def array(name: str, level: Level, host: Host, context: Context, *, asked_by: str) -> Array:
    """Return the array of a host's data disks.

    Raises:
        PlanError: the host has no data disks, several sorts of them, or not the number that the level takes.
    """
    found = [disks for disks in host.hardware.disks if disks.purpose == "data"]
    if len(found) != 1:
        has = "no data disks" if not found else f"{len(found)} sorts of data disks"
        raise PlanError(f"{asked_by}: {host.name} has {has} — give its `hardware` one entry of `purpose: data`")
    disks = found[0]
    if disks.count < LEAST[level] or (level == "none" and disks.count != 1):
        fits = [other for other in ("raid10", "raid6") if disks.count >= LEAST[other] and level != "raid0"]
        advice = (
            f"write `raid: {fits[0]}`"
            if fits
            else "take hardware with more disks"
            if disks.count < 4
            else "write another"
        )
        needs = "exactly one" if level == "none" else f"{LEAST[level]} or more"
        raise PlanError(f"{asked_by}: {level} takes {needs} data disks, {host.name} has {disks.count} — {advice}")
    if level == "raid10" and disks.count % 2:
        raise PlanError(
            f"{asked_by}: raid10 pairs disks, {host.name} has {disks.count} — take an even number, or raid6"
        )
    return Array(
        name=name,
        level=level,
        disks=disks,
        array_uuid=_shared.identity(context, host.name, name, "array"),
        filesystem_uuid=_shared.identity(context, host.name, name, "xfs"),
    )
