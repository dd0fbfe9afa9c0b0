"""What only the hosts can tell: enough of them, enough room, one network."""

from __future__ import annotations

from ipaddress import IPv4Network
from typing import TYPE_CHECKING, Final

from platform_iac.kinds.storage import _shared
from platform_iac.plan.context import PlanError
from platform_iac.spec.hostlist import expand

if TYPE_CHECKING:
    from platform_iac.kinds.storage.ceph.spec import Spec
    from platform_iac.plan.context import Context
    from platform_iac.plan.model import Host

FILL: Final = 0.8
"""Fullest that a cluster should be: at 0.85 Ceph warns, and a lost host's data must find room (mon nearfull ratio)."""

TWIN_DISK: Final = "/var/lib/platform-iac/ceph/disk0"


def hosts(name: str, spec: Spec, context: Context) -> tuple[Host, ...]:
    """Return the cluster's hosts in order, after checking that a cluster can be made of them.

    Raises:
        PlanError: with everything that is wrong, and what to do.
    """
    pool = context.spec.pools[spec.pool]
    found = tuple(host for host in context.hosts if host.pool == spec.pool)
    problems = []
    if pool.duty != "storage":
        problems.append(f"pool `{spec.pool}` has `duty: {pool.duty}` — take one with `duty: storage`")
    if len(found) < spec.monitors:
        problems.append(
            f"{spec.monitors} monitors need as many hosts, pool `{spec.pool}` has {len(found)} — add hosts: "
            "fewer than 3 cannot lose one"
        )
    if len(found) < spec.replicas:
        problems.append(
            f"{spec.replicas} copies on different hosts need {spec.replicas} hosts, pool `{spec.pool}` has "
            f"{len(found)} — add hosts or lower `replicas`"
        )
    _shared.no_place_twice(context)
    problems += _disks(spec, context, found) + _network(spec, context, found)
    if not problems:
        problems += _room(spec, context, found)
    if problems:
        raise PlanError("; ".join(f"storage `{name}`: {problem}" for problem in problems))
    return found


def twin(host: Host, context: Context) -> bool:
    """Whether the host is a machine of a twin."""
    return getattr(context.spec.sites[host.site], "gpus", "") == "simulated"


def disks(spec: Spec, context: Context, host: Host) -> dict[str, int]:
    """Return the host's data disks by path: 0, or the size in GiB of the file that stands in for one."""
    if twin(host, context):
        return {TWIN_DISK: spec.twin_disk_gib}
    return {f"/dev/{device}": 0 for device in expand((spec.devices or "").removeprefix("/dev/"), most=64)}


def raw_gib(spec: Spec, context: Context, hosts: tuple[Host, ...]) -> float:
    """Return the room of all disks in GiB, before any copy."""
    total = 0.0
    for host in hosts:
        if twin(host, context):
            total += spec.twin_disk_gib
        else:
            total += (
                sum(disk.count * disk.size_gb for disk in host.hardware.disks if disk.purpose == "data") / 1.073741824
            )
    return total


def _disks(spec: Spec, context: Context, hosts: tuple[Host, ...]) -> list[str]:
    real = [host for host in hosts if not twin(host, context)]
    if not real:
        return []
    data = [disk for disk in real[0].hardware.disks if disk.purpose == "data"]
    if slow := [disk.kind for disk in data if disk.kind == "hdd"]:
        return [f"{real[0].name} has {slow[0]} data disks — this kind is all-flash: take nvme or ssd"]
    count = sum(disk.count for disk in data)
    if not count:
        return [f"{real[0].name} has no disk with `purpose: data` — add some to the pool's hardware"]
    if spec.devices is None:
        return [f"which of its disks may be used? — name the {count} data disks of each host in `devices`"]
    named = len(expand(spec.devices.removeprefix("/dev/"), most=64))
    if named != count:
        return [f"`devices` names {named} disks, {real[0].name} has {count} with `purpose: data` — make them agree"]
    return []


def _network(spec: Spec, context: Context, hosts: tuple[Host, ...]) -> list[str]:
    if spec.cluster_network is None or not hosts:
        return []
    site = hosts[0].site
    public, cluster = IPv4Network(context.spec.sites[site].network), IPv4Network(spec.cluster_network)
    if public.overlaps(cluster):
        return [f"cluster_network {cluster} overlaps {public} of site `{site}` — leave it out to share that network"]
    if not any(nics.purpose == "storage" for nics in hosts[0].hardware.nics):
        return [f"{hosts[0].name} has no port with `purpose: storage` — add one, or leave `cluster_network` out"]
    return []


def _room(spec: Spec, context: Context, hosts: tuple[Host, ...]) -> list[str]:
    promised = sum(sum(filesystem.quotas_gib.values()) for filesystem in spec.filesystems.values())
    promised += sum(bucket.quota_gib for bucket in spec.s3.buckets.values()) if spec.s3 else 0
    usable = raw_gib(spec, context, hosts) / spec.replicas * FILL
    if promised <= usable:
        return []
    held = f"{len(hosts)} hosts hold {usable:,.0f} GiB in {spec.replicas} copies at {FILL:.0%} full"
    return [f"quotas promise {promised:,} GiB, {held} — lower quotas or add hosts"]
