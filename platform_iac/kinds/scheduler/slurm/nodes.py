"""Compute hosts as Slurm names them: equal ones on one line, GPUs by type."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import groupby
from typing import TYPE_CHECKING

from platform_iac.plan.context import PlanError
from platform_iac.spec.hostlist import compress

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from platform_iac.kinds.scheduler.slurm.spec import Spec
    from platform_iac.plan.context import Context
    from platform_iac.plan.model import Host
    from platform_iac.spec.hardware import Hardware

RESERVED_SHARE = 40
"""One part in so many of a node's memory stays with the system where the spec says nothing."""


@dataclass(frozen=True, slots=True)
class Gres:
    """GPUs of one type on a node, by their place among the node's `/dev/nvidia<i>`."""

    type: str
    first: int
    count: int

    @property
    def declared(self) -> str:
        """The contract with slurmctld: a node that shows fewer is drained (slurm.conf, "Gres")."""
        return f"gpu:{self.type}:{self.count}"

    @property
    def device(self) -> str:
        """Device files, as gres.conf's `File` takes them."""
        last = self.first + self.count - 1
        return f"/dev/nvidia{self.first}" if self.count == 1 else f"/dev/nvidia[{self.first}-{last}]"


@dataclass(frozen=True, slots=True)
class Nodes:
    """Equal hosts of one pool whose addresses share the first three numbers, in order."""

    hosts: tuple[Host, ...]
    hardware: Hardware
    memory_mib: int
    gres: tuple[Gres, ...]

    @property
    def names(self) -> str:
        """Host names as a hostlist."""
        return compress(host.name for host in self.hosts)

    @property
    def addresses(self) -> str:
        """Addresses as a hostlist, in the order of `names` (slurm.conf pairs them one by one)."""
        prefix, _, first = self.hosts[0].address.rpartition(".")
        last = self.hosts[-1].address.rpartition(".")[2]
        return f"{prefix}.{first}" if len(self.hosts) == 1 else f"{prefix}.[{first}-{last}]"

    @property
    def gres_declared(self) -> str:
        """`Gres=` of the node line; empty without GPUs."""
        return ",".join(gres.declared for gres in self.gres)

    @property
    def weight(self) -> int:
        """Slurm fills nodes of low weight first: jobs without GPUs go where none are."""
        return 1 + self.hardware.gpu_count


def group(spec: Spec, context: Context) -> tuple[Nodes, ...]:
    """Return every compute host of the partitions' pools, equal ones together, in the spec's order.

    Raises:
        PlanError: a partition's pool is not for computing, or a compute pool is in no partition.
    """
    wanted = {pool for partition in spec.partitions.values() for pool in partition.pools}
    for name, partition in spec.partitions.items():
        for pool in partition.pools:
            if (duty := context.spec.pools[pool].duty) != "compute":
                raise PlanError(
                    f"scheduler.partitions.{name}: pool `{pool}` has `duty: {duty}` — name pools with `duty: compute`"
                )
    computing = context.with_duty("compute")
    if unused := sorted({host.pool for host in computing} - wanted):
        raise PlanError(f"compute pools are in no partition: {', '.join(unused)} — add them to `scheduler.partitions`")
    return tuple(nodes for _, hosts in groupby(computing, lambda host: host.pool) for nodes in _equal(hosts, spec))


def _equal(hosts: Iterable[Host], spec: Spec) -> Iterator[Nodes]:
    for hardware, memory_mib, gres, run in _runs(tuple(hosts), spec):
        yield Nodes(run, hardware, memory_mib, gres)


def _runs(hosts: tuple[Host, ...], spec: Spec) -> Iterator[tuple[Hardware, int, tuple[Gres, ...], tuple[Host, ...]]]:
    hardware = hosts[0].hardware
    memory_mib, gres = usable_mib(spec, hardware), typed(hardware)
    start = 0
    for index in range(1, len(hosts) + 1):
        if index == len(hosts) or not _follows(hosts[index - 1], hosts[index]):
            yield hardware, memory_mib, gres, hosts[start:index]
            start = index


def _follows(one: Host, other: Host) -> bool:
    """Whether both can stand on one line: same network of 256, and the names sort as they come."""
    same = one.address.rpartition(".")[0] == other.address.rpartition(".")[0]
    return same and _sorts(one.name, other.name)


def _sorts(one: str, other: str) -> bool:
    """Whether `compress` keeps this order: equal but for a number of equal width that grows."""
    return len(one) == len(other) and one < other and one.rstrip("0123456789") == other.rstrip("0123456789")


def usable_mib(spec: Spec, hardware: Hardware) -> int:
    """Memory that jobs may have on one node, in MiB; the kernel and the daemons keep the rest."""
    reserved = spec.memory_reserved_gib
    if reserved is None:
        reserved = max(1, -(-hardware.memory_gib // RESERVED_SHARE))
    if reserved >= hardware.memory_gib:
        raise PlanError(f"memory_reserved_gib {reserved} leaves nothing of {hardware.memory_gib} GiB — lower it")
    return (hardware.memory_gib - reserved) * 1024


def typed(hardware: Hardware) -> tuple[Gres, ...]:
    """Return the node's GPUs by type. Device numbers follow the order of the hardware's list."""
    found: list[Gres] = []
    for gpu in hardware.gpus:
        found.append(Gres(gpu.model, sum(gres.count for gres in found), gpu.count))
    if len({gres.type for gres in found}) != len(found):
        raise PlanError("a host lists the same GPU model twice — write one entry with the sum as `count`")
    return tuple(found)
