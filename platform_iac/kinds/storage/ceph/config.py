"""Texts of the cluster's and the clients' hosts, the cluster's id and its secrets."""

from __future__ import annotations

import uuid
from typing import TYPE_CHECKING, Final

from platform_iac.kinds.storage.ceph import rules
from platform_iac.plan.model import File, Secret
from platform_iac.plan.render import render

if TYPE_CHECKING:
    from platform_iac.kinds.storage.ceph.spec import Spec
    from platform_iac.plan.context import Context
    from platform_iac.plan.model import Host

ETC: Final = "/etc/ceph"
CONF: Final = f"{ETC}/ceph.conf"
MONITORS_KEYRING: Final = f"{ETC}/platform.monitors.keyring"
CLIENTS_KEYRING: Final = f"{ETC}/platform.clients.keyring"
BUCKET_KEYS: Final = f"{ETC}/platform.buckets.json"
KEY_BYTES: Final = 16


def fsid(name: str, context: Context) -> str:
    """Return the cluster's id: the same for the same platform, storage and domain."""
    pool = context.spec.storage[name].pool
    site = next(host.site for host in context.hosts if host.pool == pool)
    domain = context.spec.sites[site].domain
    return str(uuid.uuid5(uuid.NAMESPACE_DNS, f"{name}.{context.spec.name}.{domain}"))


def monitors(spec: Spec, hosts: tuple[Host, ...]) -> tuple[Host, ...]:
    """Return the hosts that have a monitor."""
    return hosts[: spec.monitors]


def key(name: str, part: str) -> Secret:
    """Return a key of the cluster."""
    return Secret(name=f"{name}.{part}", length_bytes=KEY_BYTES, form="cephx")


def mount_key(name: str, filesystem: str) -> Secret:
    """Return the key with which clients mount one file system, and no other."""
    return key(name, f"mount.{filesystem}")


def bucket_key(name: str, bucket: str) -> Secret:
    """Return the secret key of a bucket's account."""
    return Secret(name=f"{name}.s3.{bucket}", length_bytes=20)


def cluster_files(name: str, spec: Spec, context: Context, hosts: tuple[Host, ...]) -> tuple[File, ...]:
    """Return the files of every storage host."""
    admin, monitor = key(name, "admin").placeholder, key(name, "monitors").placeholder
    conf = render(
        "ceph_cluster",
        "ceph.conf.j2",
        fsid=fsid(name, context),
        monitors=monitors(spec, hosts),
        public_network=context.spec.sites[hosts[0].site].network,
        cluster_network=spec.cluster_network,
        replicas=spec.replicas,
        min_replicas=spec.min_replicas,
        twin=rules.twin(hosts[0], context),
        port=spec.s3.port if spec.s3 else None,
    )
    begin = render("ceph_cluster", "monitors.keyring.j2", monitor=monitor, admin=admin)
    own = render("ceph_cluster", "admin.keyring.j2", admin=admin)
    return (
        File(path=CONF, content=conf),
        File(path=f"{ETC}/ceph.client.admin.keyring", content=own, mode="0600"),
        File(path=MONITORS_KEYRING, content=begin, mode="0600"),
        File(
            path="/etc/systemd/system/ceph-osd@.service.d/platform.conf",
            content=render("ceph_cluster", "ceph-osd.service.conf.j2"),
        ),
    )


def clients_keyring(name: str, spec: Spec) -> File:
    """Return the keys of all clients with their rights, for the one host that declares them."""
    keys = [(filesystem, mount_key(name, filesystem).placeholder) for filesystem in sorted(spec.filesystems)]
    return File(
        path=CLIENTS_KEYRING, content=render("ceph_cluster", "clients.keyring.j2", filesystems=keys), mode="0600"
    )


def unit(filesystem: str) -> str:
    """Return the name of the unit that mounts a file system."""
    return f"ceph-mount-{filesystem}.service"


def client_files(name: str, spec: Spec, context: Context, hosts: tuple[Host, ...]) -> tuple[File, ...]:
    """Return the files of every client, in which nothing is about any other client."""
    found = monitors(spec, hosts)
    identity = fsid(name, context)
    conf = render("ceph_client", "ceph.conf.j2", fsid=identity, monitors=found, twin=rules.twin(hosts[0], context))
    files = [File(path=CONF, content=conf)]
    for label, filesystem in sorted(spec.filesystems.items()):
        own = render("ceph_client", "mount.keyring.j2", filesystem=label, key=mount_key(name, label).placeholder)
        text = render(
            "ceph_client",
            "mount.service.j2",
            filesystem=label,
            mount=filesystem.mount,
            client=spec.client,
            addresses=[host.address for host in found],
        )
        files.append(File(path=f"{ETC}/ceph.client.mount-{label}.keyring", content=own, mode="0600"))
        files.append(File(path=f"/etc/systemd/system/{unit(label)}", content=text))
    return tuple(sorted(files, key=lambda file: file.path))
