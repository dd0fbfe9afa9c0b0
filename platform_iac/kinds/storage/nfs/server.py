"""The run of our own NFS servers: disks, file system, the members' folders, quotas, exports."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from platform_iac.kinds.storage import _shared
from platform_iac.kinds.storage.nfs import options, rules
from platform_iac.kinds.storage.nfs.options import ROOT
from platform_iac.kinds.storage.nfs.profiles import PORTS
from platform_iac.plan.model import File, Run, Unit
from platform_iac.plan.render import render

if TYPE_CHECKING:
    from collections.abc import Mapping

    from platform_iac.kinds.storage.nfs.spec import Spec
    from platform_iac.plan.context import Context
    from platform_iac.plan.model import Host

PACKAGES: Final = {
    "knfsd": ("nfs-kernel-server",),
    "ganesha": ("nfs-ganesha", "nfs-ganesha-vfs"),
}
DAEMONS: Final = {"knfsd": "nfs-server.service", "ganesha": "nfs-ganesha.service"}
SYSTEMD: Final = "/etc/systemd/system"
SERVICES: Final = {daemon: f"{SYSTEMD}/{unit}.d/" for daemon, unit in DAEMONS.items()}
MOUNT: Final = f"{SYSTEMD}/{_shared.unit_of(ROOT)}"
EXPORTS: Final = "/etc/exports.d/platform.exports"
CONF: Final = "/etc/nfs.conf.d/platform-server.conf"
UNWANTED: Final = {"knfsd": ("nfs-blkmap.service",), "ganesha": ()}
"""What Debian starts beside the server at boot: the client of pNFS block layouts, which nothing here has."""

GANESHA: Final = "/etc/ganesha/ganesha.conf"


def run(entries: Mapping[str, Spec], context: Context) -> Run | None:
    """Return the run `nfs_server`; None where all-flash systems serve everything."""
    servers = rules.by_server(entries, context)
    if not servers:
        return None
    daemon = _daemon(servers[0][1])
    files, own_files = _shared.split({host.name: _files(host, own, context) for host, own in servers})
    paths = tuple(file.path for file in files) + tuple(file.path for own in own_files.values() for file in own)
    restart_on = tuple(sorted({path for path in paths if path in (CONF, GANESHA) or path.startswith(SERVICES[daemon])}))
    return Run(
        name="nfs_server",
        role="nfs_server",
        hosts=tuple(host.name for host, _ in servers),
        packages=("mdadm", *PACKAGES[daemon], "xfsprogs"),
        files=files,
        host_files=own_files,
        units=(
            Unit(name=DAEMONS[daemon], restart_on=restart_on, reload_on=(EXPORTS,) if daemon == "knfsd" else ()),
            Unit(name=_shared.unit_of(ROOT), restart_on=(MOUNT,)),
            *(Unit(name=unit, enabled=False, running=False) for unit in UNWANTED[daemon]),
        ),
        vars={"root": ROOT},
        host_vars={host.name: _values(host, own, context) for host, own in servers},
        needs=("base",),
    )


def _daemon(own: Mapping[str, Spec]) -> str:
    return next(spec.served_by.daemon for spec in own.values() if spec.served_by)


def _files(host: Host, own: Mapping[str, Spec], context: Context) -> tuple[File, ...]:
    array = rules.array_of(own, host, context)
    servers = next(spec.served_by for spec in own.values() if spec.served_by)
    ports: dict[str, int] = dict(PORTS) | {spec.transport: spec.listens for spec in own.values()}
    rdma = any(spec.transport == "rdma" for spec in own.values())
    exports = [
        {
            "id": options.export_number(name, servers.daemon),
            "path": f"{ROOT}/{name}",
            "networks": rules.networks(spec, context),
        }
        for name, spec in sorted(own.items())
    ]
    values = {"servers": servers, "rdma": rdma, "ports": ports, "exports": exports, "root": ROOT}
    files = [File(path=MOUNT, content=render("nfs_server", "xfs.mount.j2", array=array, root=ROOT))]
    if servers.daemon == "knfsd":
        drop_in = f"{SERVICES['knfsd']}platform.conf"
        files += [
            File(path=EXPORTS, content=render("nfs_server", "exports.j2", **values)),
            File(path=CONF, content=render("nfs_server", "nfs.conf.j2", **values)),
            File(path=drop_in, content=render("nfs_server", "service.conf.j2", **values)),
        ]
        if rdma:
            files.append(File(path="/etc/modules-load.d/platform-nfs-server.conf", content="rpcrdma\n"))
    else:
        drop_in = f"{SERVICES['ganesha']}platform.conf"
        files += [
            File(path=GANESHA, content=render("nfs_server", "ganesha.conf.j2", **values)),
            File(path=drop_in, content=render("nfs_server", "service.conf.j2", **values)),
        ]
    return tuple(files)


def _values(host: Host, own: Mapping[str, Spec], context: Context) -> dict[str, Any]:
    return {
        "array": rules.array_of(own, host, context).arguments,
        "folders": folders({f"{ROOT}/{name}": spec for name, spec in own.items()}, context, parents=True),
        "projects": _projects(own, context),
        "listeners": sorted({f"{spec.transport} {spec.listens}" for spec in own.values()})
        if _daemon(own) == "knfsd"
        else [],
    }


def folders(places: Mapping[str, Spec], context: Context, *, parents: bool) -> dict[str, dict[str, Any]]:
    """Return the members' folders by path, each with owner, mode and whether it begins with /etc/skel.

    `parents` adds the places themselves.
    """
    found: dict[str, dict[str, Any]] = {}
    for place, spec in places.items():
        if parents:
            found[place] = {"owner": 0, "group": 0, "mode": "0755"}
        for member in context.members().values():
            found[f"{place}/{member.name}"] = {
                "owner": member.uid,
                "group": member.uid,
                "mode": _shared.MODES.get(spec.purpose, "0755"),
                **({"skeleton": True} if spec.purpose == "home" else {}),
            }
    return found


def _projects(own: Mapping[str, Spec], context: Context) -> dict[str, dict[str, Any]]:
    """The quotas as projects of XFS: the folders of a team's members count together."""
    return {
        f"{name}/{team}": {
            "id": _shared.number(name, team),
            "limit_gib": limit,
            "paths": [f"{ROOT}/{name}/{member}" for member in sorted(context.spec.teams[team].members)],
        }
        for name, spec in sorted(own.items())
        for team, limit in sorted(spec.quotas_gib.items())
    }
