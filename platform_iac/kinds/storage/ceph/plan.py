"""Role runs of Ceph: the cluster on its hosts, the mounts on its clients.

One host of the cluster, the first, declares what is in it; a new client changes nothing anywhere else.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Final

from platform_iac.kinds.storage import _shared
from platform_iac.kinds.storage._floors import stores
from platform_iac.kinds.storage._s3 import Bucket
from platform_iac.kinds.storage.ceph import config, rules, trees
from platform_iac.plan.model import File, Part, Run, Secret, Unit

if TYPE_CHECKING:
    from platform_iac.kinds.storage.ceph.spec import Spec
    from platform_iac.plan.context import Context
    from platform_iac.plan.model import Host

PACKAGES: Final = ("ceph-common", "ceph-mds", "ceph-mgr", "ceph-mon", "ceph-osd", "radosgw")
CLIENT_PACKAGES: Final = {"fuse": ("ceph-fuse",), "kernel": ("ceph-common",)}
MANAGERS: Final = 2
"""One works, one waits."""


def plan(name: str, spec: Spec, context: Context) -> Part:
    """Return the runs `ceph_cluster` and `ceph_client`."""
    hosts = rules.hosts(name, spec, context)
    mounts = tuple(config.mount_key(name, filesystem) for filesystem in sorted(spec.filesystems))
    keys = tuple(config.bucket_key(name, bucket) for bucket in sorted(spec.s3.buckets if spec.s3 else ()))
    secrets = (config.key(name, "admin"), config.key(name, "monitors"), *mounts, *keys)
    runs = [_cluster(name, spec, context, hosts, secrets)]
    if users := clients(spec, context):
        files = config.client_files(name, spec, context, hosts)
        runs.append(_client(spec, files, users, mounts))
    measured = (
        store
        for label, own in sorted(spec.filesystems.items())
        for store in stores(f"{name}-{label}", own.floors, trees.own_folder(own, context), context)
    )
    return Part(runs=tuple(runs), secrets=secrets, stores=tuple(measured))


def clients(spec: Spec, context: Context) -> tuple[Host, ...]:
    """Return the hosts that mount something of it."""
    return tuple(host for host in context.hosts if spec.mounted(host, context))


def buckets(name: str, spec: Spec, context: Context) -> dict[str, Bucket]:
    """Return the buckets by name, as services use them."""
    if spec.s3 is None:
        return {}
    host = rules.hosts(name, spec, context)[0]
    endpoint = f"http://{spec.s3.endpoint or host.fqdn}:{spec.s3.port}"
    return {
        bucket: Bucket(
            name=bucket,
            endpoint=endpoint,
            access_key=bucket,
            secret_key=config.bucket_key(name, bucket),
            run="ceph_cluster",
        )
        for bucket in sorted(spec.s3.buckets)
    }


def _cluster(name: str, spec: Spec, context: Context, hosts: tuple[Host, ...], secrets: tuple[Secret, ...]) -> Run:
    monitors = config.monitors(spec, hosts)
    own: dict[str, dict[str, Any]] = {}
    for place, host in enumerate(hosts):
        own[host.name] = {"daemons": _daemons(spec, host, place), "disks": rules.disks(spec, context, host)}
    own[hosts[0].name] |= {"declared": _declared(spec, context, hosts)}
    special = [config.clients_keyring(name, spec)]
    if spec.s3 and spec.s3.buckets:
        keys = {bucket: config.bucket_key(name, bucket).placeholder for bucket in sorted(spec.s3.buckets)}
        special.insert(0, File(path=config.BUCKET_KEYS, content=json.dumps(keys, indent=1) + "\n", mode="0600"))
    return Run(
        name="ceph_cluster",
        role="ceph_cluster",
        hosts=tuple(host.name for host in hosts),
        packages=PACKAGES if spec.s3 else PACKAGES[:-1],
        files=config.cluster_files(name, spec, context, hosts),
        host_files={hosts[0].name: tuple(special)},
        # It would report crashes with a key that it does not have; the journal has them too.
        units=(Unit(name="ceph-crash.service", enabled=False, running=False),),
        vars={
            "fsid": config.fsid(name, context),
            "monitors": {host.name: host.address for host in monitors},
            "keyring": config.MONITORS_KEYRING,
        },
        host_vars=own,
        secrets=tuple(sorted(secret.name for secret in secrets)),
        needs=("base",),
    )


def _daemons(spec: Spec, host: Host, place: int) -> dict[str, list[str]]:
    """A metadata server for each file system and one that waits, spread over the hosts."""
    found: dict[str, list[str]] = {}
    if place < MANAGERS:
        found["mgr"] = [host.name]
    if spec.filesystems:
        found["mds"] = [host.name]
    if spec.s3:
        found["rgw"] = [host.name]
    return found


def _declared(spec: Spec, context: Context, hosts: tuple[Host, ...]) -> dict[str, Any]:
    twin = rules.twin(hosts[0], context)
    copies = {"size": spec.replicas, "min_size": spec.min_replicas, "application": "cephfs"}
    pools: dict[str, dict[str, Any]] = {}
    filesystems: dict[str, dict[str, str]] = {}
    for filesystem in sorted(spec.filesystems):
        names = {"metadata": f"{filesystem}.meta", "data": f"{filesystem}.data"}
        filesystems[filesystem] = names
        # Where Ceph scales them itself, these are only the beginning.
        pools |= {pool: {**copies, "pg_num": 8 if twin else 32} for pool in names.values()}
    quotas = spec.s3.buckets if spec.s3 else {}
    return {
        "pools": pools,
        "filesystems": filesystems,
        "keyring": config.CLIENTS_KEYRING,
        "trees": trees.declared(spec, context),
        "buckets": {name: {"quota_bytes": bucket.quota_gib * trees.GIB} for name, bucket in sorted(quotas.items())},
        "keys_file": config.BUCKET_KEYS,
        "address": f"http://{hosts[0].address}:{spec.s3.port}" if spec.s3 else "",
    }


def _client(spec: Spec, files: tuple[File, ...], users: tuple[Host, ...], secrets: tuple[Secret, ...]) -> Run:
    units = []
    for filesystem in sorted(spec.filesystems):
        about = (
            f"/etc/systemd/system/{config.unit(filesystem)}",
            f"{config.ETC}/ceph.client.mount-{filesystem}.keyring",
        )
        units.append(Unit(name=config.unit(filesystem), restart_on=tuple(sorted(about))))
    return Run(
        name="ceph_client",
        role="ceph_client",
        hosts=tuple(host.name for host in users),
        packages=CLIENT_PACKAGES[spec.client],
        files=files,
        units=tuple(units),
        vars={"mounts": tuple(sorted(filesystem.mount for filesystem in spec.filesystems.values()))},
        secrets=tuple(sorted(secret.name for secret in secrets)),
        needs=("base", "ceph_cluster"),
        before=_shared.WAITING,
    )
