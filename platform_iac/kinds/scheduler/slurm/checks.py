"""What proves Slurm on the running platform."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from platform_iac.fabric.hierarchy import TOP
from platform_iac.kinds.scheduler.slurm import config, topology
from platform_iac.kinds.scheduler.slurm.nodes import group
from platform_iac.plan.model import Check
from platform_iac.spec.hostlist import compress

if TYPE_CHECKING:
    from collections.abc import Iterator

    from platform_iac.kinds.scheduler.slurm.nodes import Nodes
    from platform_iac.kinds.scheduler.slurm.spec import Spec
    from platform_iac.plan.context import Context

WORKING = "idle|mixed|allocated|completing|planned|reserved|maint"
"""States of a node that takes jobs, now or after its reservation for maintenance (sinfo, "NODE STATE CODES")."""


def checks(name: str, spec: Spec, context: Context) -> tuple[Check, ...]:
    """Return the proof: daemons, accounting, every node with its GPUs, and a job on each kind of node."""
    del name
    controller = config.controllers(spec, context)[0].name
    nodes = group(spec, context)
    return (
        *_daemons(controller),
        *_accounting(controller, spec, context),
        *(check for same in nodes for check in _nodes(controller, same)),
        *(_job(controller, spec, same) for same in nodes if same.gres),
        *_topology(controller, spec, context, nodes),
        *_logins(context),
    )


def _daemons(controller: str) -> Iterator[Check]:
    yield Check(name="slurmctld answers", host=controller, argv=("scontrol", "ping"), expect=r"is UP$")
    yield Check(
        name="slurmdbd answers",
        host=controller,
        argv=("sacctmgr", "--noheader", "--parsable2", "show", "cluster", "format=cluster,controlhost"),
        expect=r"^[a-z0-9-]+\|\S+$",
    )


def _accounting(controller: str, spec: Spec, context: Context) -> Iterator[Check]:
    yield Check(
        name="limits and associations are enforced",
        host=controller,
        argv=("scontrol", "show", "config"),
        expect=r"^AccountingStorageEnforce\s*= associations,limits,qos$",
    )
    for team_name, team in sorted(context.spec.teams.items()):
        gpus = "" if team.gpus is None else f"gres/gpu={team.gpus}"
        yield Check(
            name=f"team {team_name} has its share and its limit",
            host=controller,
            argv=(
                "sacctmgr", "--noheader", "--parsable2", "show", "assoc", "where", f"account={team_name}", "user=",
                "format=account,share,grptres",
            ),
            expect=rf"^{re.escape(f'{team_name}|{team.share}|{gpus}')}$",
        )  # fmt: skip
    for qos_name, qos in sorted(spec.qos.items()):
        yield Check(
            name=f"QoS {qos_name} has its priority",
            host=controller,
            argv=("sacctmgr", "--noheader", "--parsable2", "show", "qos", "format=name,priority"),
            expect=rf"^{qos_name}\|{qos.priority}$",
        )


def _nodes(controller: str, same: Nodes) -> Iterator[Check]:
    gres = ",".join(rf"gpu:{re.escape(item.type)}:{item.count}(\(S:[-0-9,]+\))?" for item in same.gres) or r"\(null\)"
    yield Check(
        name=f"{same.names} take jobs with {same.gres_declared or 'no GPUs'}",
        host=controller,
        argv=("sinfo", "--noheader", "--exact", "--nodes", same.names, "--format=%T %G"),
        expect=rf"\A(({WORKING}) {gres}\s*\n)+\Z",
    )


def _job(controller: str, spec: Spec, same: Nodes) -> Check:
    """One GPU of the first type, on any of the nodes; waits at most a minute behind other jobs."""
    partition = next(name for name, partition in spec.partitions.items() if same.hosts[0].pool in partition.pools)
    wanted = f"gpu:{same.gres[0].type}:1"
    show = "scontrol --details show job $SLURM_JOB_ID"
    return Check(
        name=f"a job on {same.names} gets the {same.gres[0].type} it asks for",
        host=controller,
        argv=(
            "srun", f"--partition={partition}", f"--nodelist={same.hosts[0].name}", "--nodes=1", "--ntasks=1",
            f"--gres={wanted}", "--time=2", "--immediate=60", "--chdir=/", "sh", "-c", show,
        ),
        expect=rf"GRES={re.escape(wanted)}\(IDX:\d+\)",
        timeout_seconds=120,
    )  # fmt: skip


def _topology(controller: str, spec: Spec, context: Context, nodes: tuple[Nodes, ...]) -> Iterator[Check]:
    """Slurm has every node under the top switch, and tells a job on the farthest two where it is."""
    if topology.plugin(spec, context) != "tree":
        return
    every = compress(host.name for same in nodes for host in same.hosts)
    yield Check(
        name="every node is under the top of the fabric",
        host=controller,
        argv=("scontrol", "show", "topology", TOP),
        expect=rf"^SwitchName={TOP} Level=\d+ .*Nodes={re.escape(every)}\s",
    )
    addresses = topology.addresses(context)
    for name, partition in spec.partitions.items():
        hosts = sorted(host.name for same in nodes for host in same.hosts if host.pool in partition.pools)
        farthest = sorted({hosts[0], hosts[-1]})
        yield Check(
            name=f"a job in {name} is told its place in the fabric",
            host=controller,
            argv=(
                "srun", f"--partition={name}", f"--nodelist={','.join(farthest)}", f"--nodes={len(farthest)}",
                "--ntasks-per-node=1", "--time=2", "--immediate=60", "--chdir=/", "printenv", "SLURM_TOPOLOGY_ADDR",
            ),
            expect=r"\A" + "".join(rf"(?=[\s\S]*^{re.escape(addresses[host])}$)" for host in farthest),
            timeout_seconds=120,
        )  # fmt: skip


def _logins(context: Context) -> Iterator[Check]:
    for host in context.with_duty("login"):
        yield Check(name=f"{host.name} reaches Slurm", host=host.name, argv=("sinfo", "--noheader"), expect=r"\S")
