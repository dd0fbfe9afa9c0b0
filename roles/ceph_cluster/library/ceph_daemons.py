#!/usr/bin/python
"""Make the data of a host's Ceph daemons in one task: monitor first, the others once monitors agree."""

from __future__ import annotations

import json
import os
import shutil
import time
from pathlib import Path
from typing import Any

from ansible.module_utils import ceph_cluster as cluster
from ansible.module_utils.basic import AnsibleModule

DOCUMENTATION = r"""
module: ceph_daemons
short_description: Make the data directories of a host's Ceph daemons
description:
  - V(stage=monitor) makes the monitor's store with the map of all monitors. V(stage=others) waits for a quorum and
    makes manager, metadata servers, gateway and one OSD for each disk; their keys never leave the host.
  - A disk is taken only when it is blank. One that holds an OSD of this host and cluster is taken back, with its data,
    whatever the kernel calls the disk now. A blank one in place of a disk that died gets that one's OSD anew, once the
    cluster does without it.
  - V(stage=known) only tells the units. V(stage=gone) removes all of it, and makes the disks of this cluster blank.
options:
  stage:
    choices: [monitor, others, known, gone]
    required: true
    type: str
  fsid:
    description: The cluster's id.
    required: true
    type: str
  name:
    description: The host's name, which is that of its daemons.
    required: true
    type: str
  monitors:
    description: Address of each monitor by name.
    required: true
    type: dict
  keyring:
    description: Keyring with the keys of the monitors and the administrator.
    required: true
    type: path
  daemons:
    description: Names of the host's daemons by kind (mgr, mds, rgw).
    type: dict
  disks:
    description: Path to 0 for a block device, or to the size in GiB of a file to be made.
    type: dict
"""

RETURN = r"""
actions:
  description: What was done, or in check mode would be, in words.
  type: list
units:
  description: The stage's daemons as the module C(host_units) takes them.
  type: dict
"""

CAPS = {
    "mgr": ("mon", "allow profile mgr", "osd", "allow *", "mds", "allow *"),
    "mds": (
        "mon",
        "allow profile mds",
        "mgr",
        "allow profile mds",
        "osd",
        "allow rwx tag cephfs *=*",
        "mds",
        "allow *",
    ),
    "rgw": ("mon", "allow rw", "mgr", "allow rw", "osd", "allow rwx tag rgw *=*"),
    "osd": ("mon", "allow profile osd", "mgr", "allow profile osd", "osd", "allow *"),
}
FOLDERS = {"mgr": "mgr/ceph-{}", "mds": "mds/ceph-{}", "rgw": "radosgw/ceph-rgw.{}"}
UNITS = {"mgr": "ceph-mgr@{}", "mds": "ceph-mds@{}", "rgw": "ceph-radosgw@rgw.{}"}
WATCHED = ["/etc/ceph/ceph.conf"]
LOSS_SECONDS = 60
"""Longest that a cluster may take to notice that an OSD is gone, and to go on without it."""

FORGOTTEN = (
    "{} holds an OSD of this host that the cluster no longer knows — was the host leaving? Then let it leave (a run "
    "without it in the spec), and it can join again"
)
WIPED_BYTES = 16 * 2**20
NO_LOG = "--log-to-file=false"
"""A log that begins as root's is closed to the daemon, which then writes none."""

BLANK = 2
"""How blkid ends when it finds no trace of a file system, a partition table or an OSD."""


def own(path: Path) -> None:
    """Give a directory and what is in it to Ceph's account."""
    for item in (path, *path.rglob("*")):
        if not item.is_symlink():
            shutil.chown(item, "ceph", "ceph")


def monitor(fsid: str, name: str, monitors: dict[str, str], keyring: str, *, check: bool) -> list[str]:
    """Make the monitor's store. The map is the same on all, so none waits for another.

    Where a disk of the cluster is served already, the cluster lives and is asked for its map: monitors that only knew
    each other, as the spec has them now, would agree on an empty cluster.
    """
    store = cluster.LIB / "mon" / f"ceph-{name}"
    if (store / "keyring").exists():
        return []
    if not check:
        making = store.with_name(f".making-{name}")
        shutil.rmtree(making, ignore_errors=True)
        making.mkdir(mode=0o700, parents=True)
        chart = making.with_name(f".map-{name}")
        chart.unlink(missing_ok=True)
        if any(cluster.LIB.glob("osd/ceph-*/ready")):
            there = {one["name"]: one["public_addr"].partition(":")[0] for one in cluster.ask("mon", "dump")["mons"]}
            monitors = {**there, name: monitors[name]}
        every = [
            word for one, ip in sorted(monitors.items()) for word in ("--addv", one, f"[v2:{ip}:3300,v1:{ip}:6789]")
        ]
        cluster.run("monmaptool", "--create", "--fsid", fsid, *every, str(chart))
        make = ("ceph-mon", "--mkfs", "-i", name, "--mon-data", str(making), "--monmap", str(chart))
        cluster.run(*make, "--keyring", keyring, NO_LOG)
        chart.unlink()
        own(making)
        shutil.rmtree(store, ignore_errors=True)
        making.rename(store)
    return [f"make the monitor {name}"]


def others(
    fsid: str, name: str, daemons: dict[str, list[str]], disks: dict[str, int], *, check: bool
) -> tuple[list[str], list[int]]:
    """Make every other daemon's directory; return what was done, and the numbers of the OSDs."""
    done: list[str] = []
    for kind, names in sorted(daemons.items()):
        for one in names:
            folder = cluster.LIB / FOLDERS[kind].format(one)
            if (folder / "keyring").exists():
                continue
            done.append(f"make {kind} {one}")
            if not check:
                entity = f"client.rgw.{one}" if kind == "rgw" else f"{kind}.{one}"
                _key(entity, kind, folder)
    made, numbers = osds(fsid, name, disks, check=check)
    return done + made, numbers


def osds(fsid: str, name: str, disks: dict[str, int], *, check: bool) -> tuple[list[str], list[int]]:
    """See to an OSD on each disk; return what was done, and their numbers.

    A disk's label says which of the host's OSDs it holds, for disks may come up under other names. A blank one gets
    the identity that no disk holds.

    Raises:
        ClusterError: for some disk that is not possible; the others are done.
    """
    every = cluster.identities(fsid, name, disks)
    done: list[str] = []
    numbers: list[int] = []
    problems: list[str] = []
    there: dict[str, str] = {}
    for path in every:
        try:
            there[path] = holds(path) if Path(path).exists() else ""
        except (cluster.ClusterError, OSError) as error:
            problems.append(f"{path} cannot be read ({error}) — put a blank disk in its place and run again")
    free = [identity for identity in every.values() if identity not in there.values()]
    found = _found()
    for path, holder in there.items():
        if holder not in ("", *every.values()) or (holder and [*there.values()].count(holder) > 1):
            problems.append(_in_the_way(path, holder, fsid))
            continue
        identity = holder or (every[path] if every[path] in free else free[0])
        if not holder:
            free.remove(identity)
        try:
            if holder and identity in found:
                done += _kept(found[identity], path, check=check)
                numbers.append(_number_of(found[identity]))
                continue
            done.append(f"make an OSD on {path}")
            if not check:
                numbers.append(_osd(identity, path, disks[path], name, holder))
        except cluster.ClusterError as error:
            problems.append(str(error))
        except OSError as error:
            problems.append(f"{path}: {error}")
    if problems and not check:
        raise cluster.ClusterError("; ".join(problems))
    return done, sorted(numbers)


def _found() -> dict[str, Path]:
    """Return the folders of the OSDs that were made here, by identity."""
    return {
        (path / "fsid").read_text().strip(): path
        for path in cluster.LIB.glob("osd/ceph-*")
        if (path / "ready").exists()
    }


def _number_of(folder: Path) -> int:
    return int(folder.name.rpartition("-")[2])


def _kept(folder: Path, path: str, *, check: bool) -> list[str]:
    """See that an OSD that is there finds its disk, and is in the cluster again where its host was leaving."""
    done, number, block = [], _number_of(folder), folder / "block"
    if os.path.realpath(block) != os.path.realpath(path):
        done.append(f"osd.{number} is on {path} now")
        if not check:
            new = folder / ".block"
            new.unlink(missing_ok=True)
            new.symlink_to(_lasting(path))
            new.rename(block)
    if (folder / cluster.LEAVING).exists():
        done.append(f"take osd.{number} in again")
        if not check:
            if number not in {osd["osd"] for osd in cluster.ask("osd", "dump")["osds"]}:
                raise cluster.ClusterError(FORGOTTEN.format(path))
            cluster.ceph("osd", "in", str(number))
            (folder / cluster.LEAVING).unlink()
    return done


def _in_the_way(path: str, holder: str, fsid: str) -> str:
    """Return what to do about a disk that cannot be taken. Nobody is told to wipe what may be a copy of ours."""
    if cluster.label(path) and _cluster_of(path) in ("", fsid):
        return (
            f"{path} holds an OSD of this cluster ({holder}) that is not this host's, or is on another disk too — put "
            "it back where it was, or look with `ceph osd dump` whether the cluster still needs it"
        )
    return f"{path} holds {holder} — if nobody needs that, wipe it (`wipefs --all {path}`) and run again"


def _key(entity: str, kind: str, folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    text = cluster.ceph("auth", "get-or-create", entity, *CAPS[kind])
    new = folder / ".keyring"
    new.touch(mode=0o600)
    new.write_text(text)
    own(folder)
    new.rename(folder / "keyring")


def _osd(identity: str, path: str, size_gib: int, name: str, holder: str) -> int:
    disk = Path(path)
    if size_gib and not disk.exists():
        disk.parent.mkdir(parents=True, exist_ok=True)
        disk.touch(mode=0o600)
        os.truncate(disk, size_gib * 2**30)
    if not disk.exists():
        raise cluster.ClusterError(f"there is no {path} — mend `devices`, or look for the disk")
    earlier = _found().get(identity)
    if earlier and not holder and cluster.label(str(earlier / "block")) == identity:
        where = f"osd.{_number_of(earlier)} is on {os.path.realpath(earlier / 'block')}"
        raise cluster.ClusterError(f"{where}, which `devices` does not name, and {path} is blank — mend `devices`")
    known = {osd["uuid"]: osd for osd in cluster.ask("osd", "dump")["osds"]}.get(identity)
    kept = holder == identity and _made(path)
    if kept and not known:
        raise cluster.ClusterError(FORGOTTEN.format(path))
    number = int(known["osd"]) if known and kept else _new(identity, path, name, known)
    if earlier and _number_of(earlier) != number:
        cluster.run("systemctl", "disable", "--now", f"ceph-osd@{_number_of(earlier)}.service")
        shutil.rmtree(earlier)
    folder = cluster.LIB / "osd" / f"ceph-{number}"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    (folder / "block").symlink_to(_lasting(path))
    shutil.chown(path, "ceph", "ceph")
    _key(f"osd.{number}", "osd", folder)
    if kept:
        cluster.run("ceph-bluestore-tool", "prime-osd-dir", "--dev", path, "--path", str(folder))
    else:
        make = ("ceph-osd", "--mkfs", "-i", str(number), "--osd-uuid", identity, "--osd-data", str(folder))
        cluster.run(*make, "--keyring", str(folder / "keyring"), NO_LOG, seconds=300)
    if not (folder / "block").is_symlink():
        raise cluster.ClusterError(f"osd.{number} did not keep to {path}")
    own(folder)
    (folder / "ready").write_text("ready\n")
    shutil.chown(folder / "ready", "ceph", "ceph")
    return number


def _new(identity: str, path: str, name: str, known: dict[str, Any] | None) -> int:
    """Return the number of an OSD whose disk is blank. One that had served on a disk that is gone keeps its number.

    It is destroyed first, lest the cluster take the blank disk for the one that has all its data.
    """
    if known and known["up_from"]:
        number = str(known["osd"])
        end = time.monotonic() + LOSS_SECONDS
        while reason := _needed(known["osd"]):
            if time.monotonic() > end:
                raise cluster.ClusterError(f"{path} is blank, where osd.{number} should be, and {reason}")
            time.sleep(1)
        cluster.run("systemctl", "stop", f"ceph-osd@{number}.service")
        cluster.ceph("osd", "destroy", number, "--yes-i-really-mean-it")
        known = None
    nodes = cluster.ask("osd", "tree")["nodes"] if known is None else []
    here = {child for node in nodes if node["type"] == "host" and node["name"] == name for child in node["children"]}
    destroyed = [str(node["id"]) for node in nodes if node["id"] in here and node.get("status") == "destroyed"]
    return int(cluster.ceph("osd", "new", identity, *destroyed[:1]))


def _needed(number: int) -> str:
    """Return why an OSD whose disk is gone must not be made anew yet; empty where all is in use without it."""
    if any(osd["osd"] == number and osd["up"] for osd in cluster.ask("osd", "dump")["osds"]):
        return (
            f"it is up all the same — `ceph osd out {number}`, wait until `ceph osd safe-to-destroy {number}` agrees, "
            f"`systemctl stop ceph-osd@{number}` and run again"
        )
    groups = cluster.ask("pg", "dump", "pgs_brief").get("pg_stats", [])
    if any(number in (*group["up"], *group["acting"]) for group in groups):
        return "the cluster has not noticed that it is gone — look at `ceph status` and run again"
    if ill := sorted({group["state"] for group in groups if not _usable(group["state"])}):
        return (
            f"some data cannot be used without it ({', '.join(ill)}) — bring back the other disks that are missing, "
            "or the old one of this OSD, and run again"
        )
    return ""


def _usable(state: str) -> bool:
    return "active" in state.split("+") and "stale" not in state and "unfound" not in state


def holds(path: str) -> str:
    """Return what a disk holds: nothing, the identity of an OSD, or a word about something else."""
    if identity := cluster.label(path):
        return identity
    said = cluster.run("blkid", "--probe", "--output", "export", path, allowed=(0, BLANK))
    words = dict(line.split("=", 1) for line in said.splitlines() if "=" in line)
    if words:
        return words.get("TYPE") or words.get("PTTYPE") or "something"
    with Path(path).open("rb") as file:
        return "" if not any(file.read(2**20)) else "data that no tool knows"


def _cluster_of(path: str) -> str:
    """Return the id of the cluster whose OSD a disk holds, empty where nobody can tell."""
    try:
        labels: dict[str, dict[str, str]] = json.loads(cluster.run("ceph-bluestore-tool", "show-label", "--dev", path))
    except (cluster.ClusterError, ValueError):
        return ""
    return next((label.get("ceph_fsid", "") for label in labels.values()), "")


def _made(path: str) -> bool:
    return '"mkfs_done": "yes"' in cluster.run("ceph-bluestore-tool", "show-label", "--dev", path)


def _lasting(path: str) -> str:
    """Return the disk's name by its serial number, which it keeps when disks come up in another order."""
    for link in sorted(Path("/dev/disk/by-id").glob("nvme-*")) + sorted(Path("/dev/disk/by-id").glob("wwn-*")):
        if os.path.realpath(link) == os.path.realpath(path):
            return str(link)
    return path


def units(names: list[str]) -> dict[str, dict[str, list[str]]]:
    """Return units as `host_units` takes them: each follows the cluster's configuration."""
    return {f"{name}.service": {"restart_on": WATCHED} for name in names}


def gone(fsid: str, name: str, disks: dict[str, int], *, check: bool) -> list[str]:
    """Remove every daemon's data, and the label from the disks that were this host's."""
    done = []
    every = {*cluster.identities(fsid, name, disks).values()}
    for path, size_gib in sorted(disks.items()):
        try:
            ours = Path(path).exists() and holds(path) in every
        except (cluster.ClusterError, OSError):
            done.append(f"leave {path}, which cannot be read")  # a dying disk is often why its host goes
            continue
        if ours:
            done.append(f"wipe {path}")
            if not check:
                with Path(path).open("r+b") as file:
                    file.write(bytes(WIPED_BYTES))
                    os.fsync(file.fileno())
                if size_gib:
                    Path(path).unlink()
                    Path(path).parent.rmdir()
    if cluster.LIB.exists():
        done.append(f"remove {cluster.LIB}")
        if not check:
            shutil.rmtree(cluster.LIB)
    return done


def main() -> None:
    """Run as an Ansible module."""
    module = AnsibleModule(
        argument_spec={
            "stage": {"type": "str", "required": True, "choices": ["monitor", "others", "known", "gone"]},
            "fsid": {"type": "str", "required": True},
            "name": {"type": "str", "required": True},
            "monitors": {"type": "dict", "required": True},
            "keyring": {"type": "path", "required": True},
            "daemons": {"type": "dict", "default": {}},
            "disks": {"type": "dict", "default": {}},
        },
        supports_check_mode=True,
    )
    asked, check = module.params, module.check_mode
    mine = [UNITS[kind].format(one) for kind, names in asked["daemons"].items() for one in names]
    found: list[str] = []
    try:
        if asked["stage"] == "monitor":
            done = monitor(asked["fsid"], asked["name"], asked["monitors"], asked["keyring"], check=check)
            found = [f"ceph-mon@{asked['name']}"]
        elif asked["stage"] == "others":
            done, osds = others(asked["fsid"], asked["name"], asked["daemons"], asked["disks"], check=check)
            found = [*mine, *(f"ceph-osd@{number}" for number in osds)]
        elif asked["stage"] == "known":
            done = []
            local = [f"ceph-osd@{path.name.rpartition('-')[2]}" for path in cluster.LIB.glob("osd/ceph-*")]
            found = [*mine, *local, *([f"ceph-mon@{asked['name']}"] if asked["name"] in asked["monitors"] else [])]
        else:
            done = gone(asked["fsid"], asked["name"], asked["disks"], check=check)
    except (cluster.ClusterError, OSError) as error:
        module.fail_json(msg=str(error))
    text = "".join(f"{action}\n" for action in done)
    module.exit_json(
        changed=bool(done), actions=done, units=units(found), diff={"before": "", "after": text} if done else {}
    )


if __name__ == "__main__":
    main()
