#!/usr/bin/python
"""Make the data of a host's Ceph daemons in one task: monitor first, the others once monitors agree."""

from __future__ import annotations

import os
import shutil
import subprocess
import uuid
from pathlib import Path

from ansible.module_utils.basic import AnsibleModule

DOCUMENTATION = r"""
module: ceph_daemons
short_description: Make the data directories of a host's Ceph daemons
description:
  - V(stage=monitor) makes the monitor's store with the map of all monitors. V(stage=others) waits for a quorum and
    makes manager, metadata servers, gateway and one OSD for each disk; their keys never leave the host.
  - A disk is taken only when it is blank. One that holds an OSD of this host and cluster is taken back, with its data.
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

LIB = Path("/var/lib/ceph")
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
QUORUM_SECONDS = 120
WIPED_BYTES = 16 * 2**20
NO_LOG = "--log-to-file=false"
"""A log that begins as root's is closed to the daemon, which then writes none."""

BLANK = 2
"""How blkid ends when it finds no trace of a file system, a partition table or an OSD."""


class DaemonError(RuntimeError):
    """Something is in the way; says what, and what to do."""


def call(*argv: str, seconds: int = 120, allowed: tuple[int, ...] = (0,)) -> str:
    """Run a command and return its standard output.

    Raises:
        DaemonError: it failed or took too long; with what it said.
    """
    try:
        done = subprocess.run(argv, capture_output=True, text=True, timeout=seconds, check=False, cwd="/")
    except (OSError, subprocess.TimeoutExpired) as error:
        raise DaemonError(str(error)) from error
    if done.returncode not in allowed:
        raise DaemonError(f"{' '.join(argv[:3])}: {(done.stderr or done.stdout).strip()[-800:]}")
    return done.stdout


def own(path: Path) -> None:
    """Give a directory and what is in it to Ceph's account."""
    for item in (path, *path.rglob("*")):
        if not item.is_symlink():
            shutil.chown(item, "ceph", "ceph")


def monitor(fsid: str, name: str, monitors: dict[str, str], keyring: str, *, check: bool) -> list[str]:
    """Make the monitor's store. The map is the same on all, so none waits for another."""
    store = LIB / "mon" / f"ceph-{name}"
    if (store / "keyring").exists():
        return []
    if not check:
        making = store.with_name(f".making-{name}")
        shutil.rmtree(making, ignore_errors=True)
        making.mkdir(mode=0o700, parents=True)
        chart = making.with_name(f".map-{name}")
        chart.unlink(missing_ok=True)
        every = [
            word for one, ip in sorted(monitors.items()) for word in ("--addv", one, f"[v2:{ip}:3300,v1:{ip}:6789]")
        ]
        call("monmaptool", "--create", "--fsid", fsid, *every, str(chart))
        make = ("ceph-mon", "--mkfs", "-i", name, "--mon-data", str(making), "--monmap", str(chart))
        call(*make, "--keyring", keyring, NO_LOG)
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
            folder = LIB / FOLDERS[kind].format(one)
            if (folder / "keyring").exists():
                continue
            done.append(f"make {kind} {one}")
            if not check:
                entity = f"client.rgw.{one}" if kind == "rgw" else f"{kind}.{one}"
                _key(entity, kind, folder)
    found = {(path / "fsid").read_text().strip(): path for path in LIB.glob("osd/ceph-*") if (path / "ready").exists()}
    numbers = []
    for path, size_gib in sorted(disks.items()):
        identity = str(uuid.uuid5(uuid.UUID(fsid), f"{name}:{path}"))
        if identity in found:
            numbers.append(int(found[identity].name.rpartition("-")[2]))
            continue
        done.append(f"make an OSD on {path}")
        if not check:
            numbers.append(_osd(identity, path, size_gib))
    return done, sorted(numbers)


def _key(entity: str, kind: str, folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    text = call("ceph", "auth", "get-or-create", entity, *CAPS[kind], seconds=QUORUM_SECONDS)
    new = folder / ".keyring"
    new.touch(mode=0o600)
    new.write_text(text)
    own(folder)
    new.rename(folder / "keyring")


def _osd(identity: str, path: str, size_gib: int) -> int:
    disk = Path(path)
    if size_gib and not disk.exists():
        disk.parent.mkdir(parents=True, exist_ok=True)
        disk.touch(mode=0o600)
        os.truncate(disk, size_gib * 2**30)
    if not disk.exists():
        raise DaemonError(f"there is no {path} — mend `devices`, or look for the disk")
    holder = holds(path)
    if holder not in ("", identity):
        raise DaemonError(
            f"{path} holds {holder} — if nobody needs that, wipe it (`wipefs --all {path}`) and run again"
        )
    number = int(call("ceph", "osd", "new", identity, seconds=QUORUM_SECONDS))
    folder = LIB / "osd" / f"ceph-{number}"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    (folder / "block").symlink_to(_lasting(path))
    shutil.chown(path, "ceph", "ceph")
    _key(f"osd.{number}", "osd", folder)
    if holder == identity and _made(path):
        call("ceph-bluestore-tool", "prime-osd-dir", "--dev", path, "--path", str(folder))
    else:
        make = ("ceph-osd", "--mkfs", "-i", str(number), "--osd-uuid", identity, "--osd-data", str(folder))
        call(*make, "--keyring", str(folder / "keyring"), NO_LOG, seconds=300)
    if not (folder / "block").is_symlink():
        raise DaemonError(f"osd.{number} did not keep to {path}")
    own(folder)
    (folder / "ready").write_text("ready\n")
    shutil.chown(folder / "ready", "ceph", "ceph")
    return number


def holds(path: str) -> str:
    """Return what a disk holds: nothing, the identity of an OSD, or a word about something else."""
    label = _label(path)
    if "osd_uuid" in label:
        return label["osd_uuid"]
    said = call("blkid", "--probe", "--output", "export", path, allowed=(0, BLANK))
    words = dict(line.split("=", 1) for line in said.splitlines() if "=" in line)
    if words:
        return words.get("TYPE") or words.get("PTTYPE") or "something"
    with Path(path).open("rb") as file:
        return "" if not any(file.read(2**20)) else "data that no tool knows"


def _label(path: str) -> dict[str, str]:
    """Return the label that an OSD has written at the beginning of its disk, empty where there is none."""
    head = b""
    with Path(path).open("rb") as file:
        head = file.read(60)
    if not head.startswith(b"bluestore block device\n"):
        return {}
    return {"osd_uuid": head.split(b"\n")[1].decode(errors="replace")}


def _made(path: str) -> bool:
    return '"mkfs_done": "yes"' in call("ceph-bluestore-tool", "show-label", "--dev", path)


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
    for path, size_gib in sorted(disks.items()):
        identity = str(uuid.uuid5(uuid.UUID(fsid), f"{name}:{path}"))
        if Path(path).exists() and holds(path) == identity:
            done.append(f"wipe {path}")
            if not check:
                with Path(path).open("r+b") as file:
                    file.write(bytes(WIPED_BYTES))
                    os.fsync(file.fileno())
                if size_gib:
                    Path(path).unlink()
                    Path(path).parent.rmdir()
    if LIB.exists():
        done.append(f"remove {LIB}")
        if not check:
            shutil.rmtree(LIB)
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
            local = [f"ceph-osd@{path.name.rpartition('-')[2]}" for path in LIB.glob("osd/ceph-*")]
            found = [*mine, *local, *([f"ceph-mon@{asked['name']}"] if asked["name"] in asked["monitors"] else [])]
        else:
            done = gone(asked["fsid"], asked["name"], asked["disks"], check=check)
    except (DaemonError, OSError) as error:
        module.fail_json(msg=str(error))
    text = "".join(f"{action}\n" for action in done)
    module.exit_json(
        changed=bool(done), actions=done, units=units(found), diff={"before": "", "after": text} if done else {}
    )


if __name__ == "__main__":
    main()
