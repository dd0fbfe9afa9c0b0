"""The files that slurmctld reads and hands to every node (configless)."""

from __future__ import annotations

from math import ceil, sqrt
from typing import TYPE_CHECKING, Final

from platform_iac.kinds.scheduler.slurm import topology
from platform_iac.plan.context import PlanError
from platform_iac.plan.model import File
from platform_iac.plan.render import render
from platform_iac.spec.hostlist import compress

if TYPE_CHECKING:
    from collections.abc import Mapping

    from platform_iac.kinds.scheduler.slurm.nodes import Nodes
    from platform_iac.kinds.scheduler.slurm.spec import Spec
    from platform_iac.plan.context import Context
    from platform_iac.plan.model import Host

ETC: Final = "/etc/slurm"
LIBEXEC: Final = "/usr/local/libexec/platform-iac"
CONTROLLER_PORT: Final = 6817
STATE: Final = "/var/lib/slurm/slurmctld"
MOST_CONTROLLERS: Final = 2


def controllers(spec: Spec, context: Context) -> tuple[Host, ...]:
    """Return the hosts of slurmctld, the primary first; it also holds the accounting database.

    Raises:
        PlanError: none, more than two, or two that share no directory for their state.
    """
    hosts = context.with_duty("controller")
    if not hosts:
        raise PlanError("scheduler: Slurm needs a host with `duty: controller`, found none — add a pool to `pools`")
    if len(hosts) > MOST_CONTROLLERS:
        raise PlanError(
            f"scheduler: {len(hosts)} hosts have `duty: controller` — keep one, or two that stand in for each other"
        )
    if len(hosts) == MOST_CONTROLLERS and spec.state_directory is None:
        raise PlanError(
            "scheduler: two controllers share their state — set `scheduler.state_directory` to a shared path"
        )
    return hosts


def shared(spec: Spec, context: Context, nodes: tuple[Nodes, ...]) -> tuple[File, ...]:
    """Return what controllers and login hosts have alike: slurm.conf, and the topology where there is a fabric."""
    fabric = topology.file(spec, context, ETC)
    return (slurm_conf(spec, context, nodes), *((fabric,) if fabric else ()))


def slurm_conf(spec: Spec, context: Context, nodes: tuple[Nodes, ...]) -> File:
    """Return slurm.conf, the same text on controllers and login hosts."""
    hosts = controllers(spec, context)
    count = sum(len(group.hosts) for group in nodes)
    types = sorted({gres.type for group in nodes for gres in group.gres})
    text = render(
        "slurm_controller",
        "slurm.conf.j2",
        cluster=context.spec.name,
        controllers=hosts,
        database=hosts[0],
        controller_port=CONTROLLER_PORT,
        state_directory=spec.state_directory or STATE,
        libexec=LIBEXEC,
        types=types,
        # A tree of two levels, each hop fanning out alike (slurm.conf, "TreeWidth").
        tree_width=max(16, ceil(sqrt(count))),
        topology=topology.line(spec, context),
        overrides=believes(spec, context),
        preempt=any(qos.preempts for qos in spec.qos.values()),
        half_life=spec.fair_share_half_life,
        interval_seconds=spec.health.interval_seconds,
        nodes=nodes,
        partitions=[_partition(name, spec, nodes) for name in spec.partitions],
    )
    return File(path=f"{ETC}/slurm.conf", content=text)


def gres_conf(nodes: tuple[Nodes, ...]) -> File:
    """Return gres.conf, one for all nodes: `NodeName=` first on each line, every GPU by type and device."""
    with_gpus = [group for group in nodes if group.gres]
    return File(path=f"{ETC}/gres.conf", content=render("slurm_controller", "gres.conf.j2", nodes=with_gpus))


def cgroup_conf(spec: Spec) -> File:
    """Return cgroup.conf: cores, memory and devices of a job are a wall, not advice."""
    text = render("slurm_controller", "cgroup.conf.j2", plugin=spec.cgroup_plugin)
    return File(path=f"{ETC}/cgroup.conf", content=text)


def believes(spec: Spec, context: Context) -> bool:
    """Whether slurmd takes cores and memory from the spec: simulated hosts have less than they play."""
    if spec.config_overrides is not None:
        return spec.config_overrides
    return any(simulated(host, context) for host in context.with_duty("compute"))


def simulated(host: Host, context: Context) -> bool:
    """Whether the host's GPUs are the twin's."""
    return getattr(context.spec.sites[host.site], "gpus", "nvidia") == "simulated"


def _partition(name: str, spec: Spec, nodes: tuple[Nodes, ...]) -> Mapping[str, object]:
    partition = spec.partitions[name]
    groups = [group for group in nodes if group.hosts[0].pool in partition.pools]
    with_gpus = [group for group in groups if group.gres]
    return {
        "name": name,
        "nodes": compress(host.name for group in groups for host in group.hosts),
        "default": partition.default,
        "max_time": partition.max_time,
        "default_time": partition.default_time,
        "priority": partition.priority,
        "teams": ("root", *partition.teams) if partition.teams else (),
        # Without a default a job gets a node's whole memory, and no second one fits beside it.
        "memory_mib_per_cpu": min(group.memory_mib // group.hardware.threads for group in groups),
        "cpus_per_gpu": min((group.hardware.threads // group.hardware.gpu_count for group in with_gpus), default=0),
    }
