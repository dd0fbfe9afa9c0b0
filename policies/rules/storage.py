"""Shared storage: for its site alone, never as root, over RDMA as the makers say, and with a copy elsewhere."""

from __future__ import annotations

import re
from collections import ChainMap
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING

from policies.mounts import network_mounts
from policies.parse import exports, lines
from policies.rule import Rule

if TYPE_CHECKING:
    from policies.parse.exports import Block
    from policies.rule import Context
    from policies.target import Stack, Target

EXPORTS = ("/etc/exports", "/etc/exports.d/")
GANESHA = "/etc/ganesha/"
NFS_CONF = ("/etc/nfs.conf", "/etc/nfs.conf.d/")
CEPH = ("/etc/ceph/ceph.conf", "/etc/ceph/ceph.conf.d/")
NO_SQUASH = frozenset({"no_root_squash", "none", "noidsquash"})
"""Words of Ganesha's `Squash` by which root stays root (ganesha-export-config(8))."""

NO_ACCESS = ("none", "no")

LUSTRE = "aws:fsx/lustreFileSystem:LustreFileSystem"
STATEFUL = {
    "postgresql": "PostgreSQL's databases",
    "slurm_database": "the accounting database",
    "mlflow": "MLflow's artifacts",
    "nfs_server": "what the NFS server holds",
    "ceph_cluster": "what the Ceph cluster holds",
}


def _ganesha(target: Target) -> Iterator[tuple[str, str, str, Mapping[str, str]]]:
    """Yield (hosts, path, client, what it may) of every EXPORT: its clients, and everyone who is none of them.

    What a CLIENT leaves out is the EXPORT's, what that leaves out is EXPORT_DEFAULTS' (ganesha-export-config(8)).
    """
    for hosts, files in target.groups:
        texts = [file.content for path, file in sorted(files.items()) if path.startswith(GANESHA)]
        blocks = [block for text in texts for block in exports.ganesha(text).blocks]
        defaults = [block for block in blocks if block.name == "export_defaults"]
        usual = {name: value for block in defaults for name, value in block.settings.items()}
        for block in blocks:
            if block.name == "export":
                settings = ChainMap(block.settings, usual)
                path = settings.get("path", "an export")
                if settings.get("access_type", "none").lower() not in NO_ACCESS:
                    yield hosts, path, "*", settings
                for inner in _clients(block) or [each for block in defaults for each in _clients(block)]:
                    if inner.settings.get("access_type", "rw").lower() not in NO_ACCESS:
                        for client in inner.settings.get("clients", "*").split(","):
                            yield hosts, path, client.strip(), settings.new_child(inner.settings)


def _clients(block: Block) -> list[Block]:
    return [inner for inner in block.blocks if inner.name == "client"]


def _root(uid: str) -> bool:
    """Whether a user's number is root's, also where 32 bits make it so."""
    try:
        return int(uid, 0) % 2**32 == 0
    except ValueError:
        return False


def _everyone(target: Target, context: Context) -> Iterator[str]:
    del context
    for hosts, file in target.files(*EXPORTS):
        for export in exports.kernel(file.content):
            if exports.everyone(export.client):
                yield f"{hosts}: {export.path} is exported to {export.client or 'everyone'}"
    for hosts, path, client, _ in _ganesha(target):
        if exports.everyone(client):
            yield f"{hosts}: {path} is exported to everyone"


def _squash(target: Target, context: Context) -> Iterator[str]:
    del context
    if target.type == LUSTRE:
        view = target.view.items("rootSquashConfiguration")
        squash = view[0].text("rootSquash") if view else ""
        if not squash or squash.split(":")[0].strip() == "0":
            yield f"rootSquashConfiguration.rootSquash is {squash or 'not set'}"
        return
    for hosts, file in target.files(*EXPORTS):
        for export in exports.kernel(file.content):
            pairs = [option.partition("=") for option in export.options]
            if "no_root_squash" in export.options or any(name == "anonuid" and _root(uid) for name, _, uid in pairs):
                yield f"{hosts}: {export.path}: root of {export.client or 'everyone'} is root here"
    for hosts, path, client, settings in _ganesha(target):
        if settings.get("squash", "root_squash").lower() in NO_SQUASH or _root(settings.get("anonymous_uid", "")):
            yield f"{hosts}: {path}: root of {client} is root here"


def _mounts(target: Target) -> Iterator[tuple[str, str, Mapping[str, str]]]:
    for found in network_mounts(target):
        if found.type.startswith("nfs"):
            yield found.hosts, found.where, found.options


def _rdma(target: Target, context: Context) -> Iterator[str]:
    for hosts, where, options in _mounts(target):
        count = options.get("nconnect", "1")
        if not count.isdigit() or not 1 <= int(count) <= context.settings["nconnect"]:
            yield f"{hosts}: {where}: nconnect={count or 'nothing'}"
        if options.get("proto", "tcp") not in ("rdma", "rdma6"):
            continue
        if options.get("port") != "20049":
            yield f"{hosts}: {where}: proto=rdma without port=20049"
        if int(count if count.isdigit() else 1) > 1:
            yield f"{hosts}: {where}: proto=rdma with nconnect={count}, which Linux 6.1 ignores without a word"
        if options.get("vers", "").startswith(("2", "4.0")):
            yield f"{hosts}: {where}: proto=rdma with NFS {options['vers']}"
    for hosts, file in target.files(*NFS_CONF):
        settings = {each.name: each.value.lower() for each in lines.sections(file.content) if each.section == "nfsd"}
        if (
            settings.get("rdma", "n") in ("y", "yes", "1", "true", "20049")
            and settings.get("rdma_port", "20049") != "20049"
        ):
            yield f"{hosts}: {file.path}: rdma-port={settings['rdma_port']}"


def _hard(target: Target, context: Context) -> Iterator[str]:
    del context
    for hosts, where, options in _mounts(target):
        if "soft" in options or "softerr" in options:
            yield f"{hosts}: {where} is mounted soft"


def _nosuid(target: Target, context: Context) -> Iterator[str]:
    del context
    for found in network_mounts(target):
        if missing := [word for word in ("nosuid", "nodev") if word not in found.options]:
            yield f"{found.hosts}: {found.where} is mounted without {' and '.join(missing)}"


def _in_clear(target: Target, context: Context) -> Iterator[str]:
    del context
    for hosts, where, options in _mounts(target):
        if options.get("sec", "sys") != "krb5p" and options.get("xprtsec", "none") not in ("tls", "mtls"):
            yield f"{hosts}: {where} crosses the network in clear (sec={options.get('sec', 'sys')})"
    for hosts, settings in _ceph(target):
        if settings.get("ms_cluster_mode", "crc").split()[:1] != ["secure"] and "public_network" in settings:
            yield f"{hosts}: Ceph's ms_cluster_mode is {settings.get('ms_cluster_mode', 'crc secure')}"


def _ceph(target: Target) -> Iterator[tuple[str, dict[str, str]]]:
    """Yield (hosts, settings) of ceph.conf, sections merged: a daemon's section may weaken what is global."""
    for hosts, file in target.files(*CEPH):
        yield hosts, {each.name: re.sub(r"\s+[#;].*", "", each.value).lower() for each in lines.sections(file.content)}


def _ceph_auth(target: Target, context: Context) -> Iterator[str]:
    del context
    for hosts, file in target.files(*CEPH):
        for each in lines.sections(file.content):
            value = each.value.lower()
            if each.name in (
                "auth_cluster_required",
                "auth_service_required",
                "auth_client_required",
                "auth_supported",
            ):
                if value != "cephx":
                    yield f"{hosts}: [{each.section}] {each.name} = {each.value}"
            elif each.name == "auth_allow_insecure_global_id_reclaim" and value not in ("false", "no", "0"):
                yield f"{hosts}: [{each.section}] {each.name} = {each.value}"
    if target.role == "ceph_cluster":
        for hosts, settings in _ceph(target):
            if "auth_allow_insecure_global_id_reclaim" not in settings:
                yield f"{hosts}: auth_allow_insecure_global_id_reclaim is not set, so it is true"


def _copies(target: Target, context: Context) -> Iterator[str]:
    for hosts, settings in _ceph(target):
        for name, least in (("osd_pool_default_size", "copies"), ("osd_pool_default_min_size", "written")):
            given = settings.get(name, "")
            if given and (not given.isdigit() or int(given) < context.settings[least]):
                yield f"{hosts}: {name} = {given}"


def _backup(stack: Stack, context: Context) -> Iterator[str]:
    declared = context.settings["declared"]
    for target in stack.roles(*STATEFUL):
        if not str(declared.get(target.role, "")).strip():
            yield f"no backup is declared for {STATEFUL[target.role]} ({target.role})"


RULES = (
    Rule(
        id="storage-exports",
        why="An export to everyone is every team's home for whoever finds the port.",
        do="Name the site's networks.",
        reference="exports(5)",
        each=_everyone,
    ),
    Rule(
        id="storage-root-squash",
        why="Where root is root over the network, one node that is taken over owns every file.",
        do="Use root_squash (Squash = Root_Squash), and leave anonuid to nobody.",
        reference="exports(5) root_squash",
        on=("platform:ansible:Role", LUSTRE),
        each=_squash,
    ),
    Rule(
        id="storage-rdma",
        why="A mount that silently takes another transport or fewer connections is slow for ever.",
        do="Mount RDMA at port 20049 with NFS 3 or 4.1 and one connection, TCP with nconnect of 16 at most.",
        reference="nfs(5); NetApp AIPod; Linux: NFS_MAX_CONNECTIONS is 16",
        settings={"nconnect": 16},
        each=_rdma,
    ),
    Rule(
        id="storage-hard",
        why="A soft mount turns a slow server into an error that programs take for a finished write.",
        do="Mount hard.",
        reference="nfs(5) soft",
        each=_hard,
    ),
    Rule(
        id="storage-nosuid",
        why="A setuid program or a device on shared storage makes its writer root on every node.",
        do="Mount with nosuid and nodev.",
        reference="CIS Debian Linux 12 1.1.2.3.2, 1.1.2.3.3",
        each=_nosuid,
    ),
    Rule(
        id="storage-encryption",
        severity="advisory",
        why="Who reads the storage network reads the data; that may be right on a network of its own.",
        do="Use sec=krb5p or xprtsec=tls, and ms_cluster_mode = secure.",
        reference="nfs(5) sec; docs.ceph.com/en/latest/rados/configuration/msgr2",
        each=_in_clear,
    ),
    Rule(
        id="storage-ceph-auth",
        why="Without cephx, or with identities that can be taken over, anyone who reaches a monitor is a client.",
        do="Leave cephx on, and set auth_allow_insecure_global_id_reclaim = false.",
        reference="CVE-2021-20288",
        each=_ceph_auth,
    ),
    Rule(
        id="storage-ceph-copies",
        why="With fewer copies, or writes that one copy is enough for, the next failure loses data.",
        do="Set osd_pool_default_size to 3 and osd_pool_default_min_size to 2.",
        reference="docs.ceph.com/en/latest/rados/configuration/pool-pg-config-ref",
        settings={"copies": 3, "written": 2},
        each=_copies,
    ),
    Rule(
        id="storage-backup",
        severity="advisory",
        why="Redundancy is no backup: what is deleted by mistake is deleted in every copy.",
        do="Say in `declared` where each one is copied to, by its role.",
        settings={"declared": {}},
        whole=_backup,
    ),
)
