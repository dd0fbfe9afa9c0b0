"""What proves Ceph on the running platform."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from platform_iac.kinds.storage.ceph import config, rules, trees
from platform_iac.kinds.storage.ceph.plan import clients
from platform_iac.plan.model import Check

if TYPE_CHECKING:
    from collections.abc import Iterator

    from platform_iac.kinds.storage.ceph.spec import Spec
    from platform_iac.plan.context import Context
    from platform_iac.plan.model import Host

QUOTA = "import os,sys; print(os.getxattr(sys.argv[1], 'ceph.quota.max_bytes').decode())"
STATUS = "import sys,urllib.request as u; print(u.urlopen(sys.argv[1], timeout=30).status)"
WRITE = 'set -e; f=$(mktemp "$1/.platform-iac-XXXXXX"); echo shared > "$f"; sync "$f"; cat "$f"; rm "$f"'


def checks(name: str, spec: Spec, context: Context) -> tuple[Check, ...]:
    """Return the proof: quorum, disks, file systems, mounts and quotas, and the gateways."""
    hosts = rules.hosts(name, spec, context)
    users = clients(spec, context)
    return (
        *_cluster(name, spec, context, hosts),
        *(_mounts(spec, host, context) for host in users),
        *_people(spec, context, users),
        *_gateways(name, spec, hosts),
    )


def _cluster(name: str, spec: Spec, context: Context, hosts: tuple[Host, ...]) -> Iterator[Check]:
    first = hosts[0].name
    ceph = ("ceph", "--connect-timeout", "30")
    quorum = ",".join(sorted(host.name for host in config.monitors(spec, hosts)))
    disks = sum(len(rules.disks(spec, context, host)) for host in hosts)
    yield Check(
        name=f"the monitors of {name} agree",
        host=first,
        argv=(*ceph, "mon", "stat"),
        expect=rf"quorum [\d,]+ {quorum}\b",
    )
    yield Check(
        name=f"every disk of {name} is up and in",
        host=first,
        argv=(*ceph, "osd", "stat"),
        expect=rf"^\s*{disks} osds: {disks} up\b.* {disks} in\b",
    )
    for filesystem in sorted(spec.filesystems):
        yield Check(
            name=f"file system {filesystem} has its server",
            host=first,
            argv=(*ceph, "mds", "stat"),
            expect=rf"\b{re.escape(filesystem)}:0=[a-z0-9-]+=up:active",
        )


def _mounts(spec: Spec, host: Host, context: Context) -> Check:
    mounts = sorted(spec.mounted(host, context), key=lambda mount: mount.path)
    lines = (rf"(?=[\s\S]*^{re.escape(mount.path)} {re.escape(mount.types[0])}$)" for mount in mounts)
    return Check(
        name=f"{host.name} has {' and '.join(mount.path for mount in mounts)}",
        host=host.name,
        argv=("findmnt", "--noheadings", "--raw", "--output", "TARGET,FSTYPE"),
        expect=r"\A" + "".join(lines),
    )


def _people(spec: Spec, context: Context, users: tuple[Host, ...]) -> Iterator[Check]:
    logins = [host.name for host in users if host.duty == "login"][:1]
    for login in logins:
        for label, filesystem in sorted(spec.filesystems.items()):
            for team, quota_gib in sorted(filesystem.quotas_gib.items()):
                yield Check(
                    name=f"team {team} may keep {quota_gib} GiB in {label}",
                    host=login,
                    argv=("python3", "-c", QUOTA, f"{filesystem.mount}/{team}"),
                    expect=rf"^{quota_gib * trees.GIB}$",
                )
            for team_name, team_of in sorted(context.spec.teams.items())[:1]:
                for member in sorted(team_of.members)[:1]:
                    yield Check(
                        name=f"{member} writes in {label} on {login}",
                        host=login,
                        argv=("bash", "-c", WRITE, "write", f"{filesystem.mount}/{team_name}/{member}"),
                        expect="^shared$",
                        user=member,
                    )


def _gateways(name: str, spec: Spec, hosts: tuple[Host, ...]) -> Iterator[Check]:
    for host in hosts if spec.s3 else ():
        port = spec.s3.port if spec.s3 else 0
        yield Check(
            name=f"{name} answers S3 on {host.name}",
            host=host.name,
            argv=("python3", "-c", STATUS, f"http://127.0.0.1:{port}/"),
            expect="^200$",
        )
