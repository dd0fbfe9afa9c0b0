"""Role runs of Slurm: munge everywhere, database and controller, nodes, logins.

A node's files hold nothing about other nodes, so adding one changes the controllers' and login hosts'
slurm.conf and the new node, nothing else. Nodes get the configuration from slurmctld (configless).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from platform_iac.kinds.scheduler.slurm import accounts, config, health, topology
from platform_iac.kinds.scheduler.slurm.nodes import group
from platform_iac.kinds.storage._shared import jobs_folder, measured, mounts_of, split
from platform_iac.plan import floors
from platform_iac.plan.model import File, Part, Run, Secret, Unit
from platform_iac.plan.render import render

if TYPE_CHECKING:
    from platform_iac.kinds.scheduler.slurm.nodes import Nodes
    from platform_iac.kinds.scheduler.slurm.spec import Spec
    from platform_iac.plan.context import Context
    from platform_iac.plan.model import Host

MUNGE_KEY: Final = Secret(name="munge.key", length_bytes=64)


def plan(name: str, spec: Spec, context: Context) -> Part:
    """Return the runs `munge`, `slurm_database`, `slurm_controller`, `slurm_node` and `slurm_login`."""
    del name
    nodes = group(spec, context)
    hosts = config.controllers(spec, context)
    shared = config.shared(spec, context, nodes)
    runs = [_munge(context), _database(spec, hosts[0]), _controller(spec, context, nodes, shared)]
    if nodes:
        runs.append(_node(spec, context, hosts, nodes))
    if logins := context.with_duty("login"):
        runs.append(_login(logins, shared))
    return Part(runs=tuple(runs), secrets=(MUNGE_KEY,))


def _names(hosts: tuple[Host, ...]) -> tuple[str, ...]:
    return tuple(host.name for host in hosts)


def _munge(context: Context) -> Run:
    key = "/etc/munge/munge.key"
    hosts = context.with_duty("controller", "login", "compute")
    return Run(
        name="munge",
        role="munge",
        hosts=_names(hosts),
        packages=("munge",),
        files=(File(path=key, content=MUNGE_KEY.placeholder, mode="0400", owner="munge", group="munge"),),
        units=(Unit(name="munge.service", restart_on=(key,)),),
        vars={"floors": floors.debian("munge")},
        secrets=(MUNGE_KEY.name,),
        needs=("base",),
    )


def _database(spec: Spec, host: Host) -> Run:
    server, grants, conf = "/etc/mysql/mariadb.conf.d/90-slurm.cnf", "/etc/mysql/slurm.sql", "/etc/slurm/slurmdbd.conf"
    unit = "/etc/systemd/system/slurmdbd.service.d/platform.conf"
    text = render("slurm_database", "slurmdbd.conf.j2", host=host, months=spec.accounting_months)
    return Run(
        name="slurm_database",
        role="slurm_database",
        hosts=(host.name,),
        packages=("mariadb-server", "slurmdbd"),
        files=(
            File(path=server, content=render("slurm_database", "server.cnf.j2", grants=grants)),
            File(path=grants, content=render("slurm_database", "slurm.sql.j2"), mode="0640", group="mysql"),
            File(path=conf, content=text, mode="0600", owner="slurm", group="slurm"),
            File(path=unit, content=render("slurm_database", "slurmdbd.service.conf.j2")),
        ),
        units=(
            Unit(name="mariadb.service", restart_on=(server, grants)),
            Unit(name="slurmdbd.service", restart_on=(conf, unit)),
        ),
        vars={"address": host.address},
        needs=("base", "munge"),
    )


def _controller(spec: Spec, context: Context, nodes: tuple[Nodes, ...], shared: tuple[File, ...]) -> Run:
    files = (*shared, config.gres_conf(nodes), config.cgroup_conf(spec), _unit("slurmctld"))
    hosts = config.controllers(spec, context)
    return Run(
        name="slurm_controller",
        role="slurm_controller",
        hosts=_names(hosts),
        packages=("slurm-client", "slurmctld"),
        files=tuple(sorted(files, key=lambda file: file.path)),
        # slurmctld 22.05 learns of added nodes only when it starts; running jobs outlive that.
        units=(Unit(name="slurmctld.service", restart_on=tuple(sorted(file.path for file in files))),),
        vars={"floors": floors.debian("slurm-client", "slurmctld")},
        # The database is one: the primary declares what is in it.
        host_vars={hosts[0].name: {"accounts": accounts.declared(spec, context)}},
        needs=("munge", "slurm_database"),
    )


def _node(spec: Spec, context: Context, hosts: tuple[Host, ...], nodes: tuple[Nodes, ...]) -> Run:
    options = "/etc/default/slurmd"
    servers = ",".join(f"{host.address}:{config.CONTROLLER_PORT}" for host in hosts)
    text = render("slurm_node", "slurmd.default.j2", servers=servers, topology=topology.plugin(spec, context))
    unit = _unit("slurmd")
    scripts = ("slurm-prolog", "slurm-epilog", "slurm-task-prolog")
    files = [
        File(path=options, content=text),
        File(path="/etc/pam.d/slurm-adopt", content=render("slurm_node", "slurm-adopt.pam.j2")),
        unit,
        _script("node-health"),
    ]
    own: dict[str, tuple[File, ...]] = {}
    values: dict[str, dict[str, Any]] = {}
    for same in nodes:
        mounts, simulated = mounts_of(same.hosts[0], context), config.simulated(same.hosts[0], context)
        jobs = jobs_folder(same.hosts[0], context)
        expected = health.expectations(spec, same, mounts, simulated=simulated)
        own |= {host.name: (expected, *(_script(name, jobs=jobs) for name in scripts)) for host in same.hosts}
        values |= {host.name: {"gres": same.gres_declared} for host in same.hosts}
    shared, own = split({host: (*files, *its) for host, its in own.items()})
    return Run(
        name="slurm_node",
        role="slurm_node",
        hosts=tuple(values),
        packages=(*(("fio",) if measured(context) else ()), "libpam-slurm-adopt", "slurm-client", "slurmd"),
        files=shared,
        host_files=own,
        units=(Unit(name="slurmd.service", restart_on=(options, unit.path)),),
        vars={"floors": floors.debian("libpam-slurm-adopt", "slurm-client", "slurmd")},
        host_vars=values,
        needs=("munge", "slurm_controller"),
        after=("gpu",),
    )


def _script(name: str, **values: str) -> File:
    return File(path=f"{config.LIBEXEC}/{name}", content=render("slurm_node", name, **values), mode="0755")


def _login(hosts: tuple[Host, ...], shared: tuple[File, ...]) -> Run:
    """Login hosts get the shared files as they are: Slurm 22.05 has no daemon that would fetch them for clients."""
    return Run(
        name="slurm_login",
        role="slurm_login",
        hosts=_names(hosts),
        packages=("slurm-client",),
        files=shared,
        vars={"floors": floors.debian("slurm-client")},
        needs=("munge", "slurm_controller"),
    )


def _unit(daemon: str) -> File:
    """Return the drop-in of a daemon's unit: after what it needs, and back by itself when it dies."""
    role = "slurm_node" if daemon == "slurmd" else "slurm_controller"
    path = f"/etc/systemd/system/{daemon}.service.d/platform.conf"
    return File(path=path, content=render(role, f"{daemon}.service.conf.j2"))
