#!/usr/bin/python
"""Join a host's data disks and make one XFS file system on them, and never touch a disk that holds anything else."""

from __future__ import annotations

import json
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ansible.module_utils.basic import AnsibleModule

DOCUMENTATION = r"""
module: host_array
short_description: Join the data disks of a host and make an XFS file system, without ever destroying data
description:
  - The disks are those of the given kind and size. Each must be blank (no signature, and zeros in its first MiB) or
    bear C(array_uuid); anything else is a refusal that names the disk and what is on it. So is a number of disks that
    is not C(count).
  - Array and file system get the given UUIDs, by which they are known again on the next run. An array of ours with
    another level or number of disks than the spec's is a refusal too; one that lacks disks is taken, with a warning.
  - A file system is made only on what this run has made, or an interrupted one has. An array of ours that was finished
    once and shows no file system is damaged, and a refusal.
options:
  array:
    description:
      - C(name) (the array is /dev/md/NAME), C(level) (raid0, raid6, raid10, or none for one disk as it is),
        C(array_uuid) and C(filesystem_uuid), C(kind) of the disks (nvme, ssd, hdd), their C(count), and C(size_gb) of
        one in decimal gigabytes; a disk within two percent of it counts.
    type: dict
    required: true
  state:
    description: V(absent) stops the array; what is on the disks stays.
    choices: [present, absent]
    default: present
    type: str
"""

RETURN = r"""
actions:
  description: What was done, or in check mode would be, in words.
  type: list
"""

OPTIONS = {
    "name": {"type": "str", "required": True},
    "level": {"type": "str", "required": True, "choices": ["raid0", "raid6", "raid10", "none"]},
    "array_uuid": {"type": "str", "required": True},
    "filesystem_uuid": {"type": "str", "required": True},
    "kind": {"type": "str", "required": True, "choices": ["nvme", "ssd", "hdd"]},
    "count": {"type": "int", "required": True},
    "size_gb": {"type": "int", "required": True},
}
TOLERANCE = 0.02
TIMEOUT_SECONDS = 300
UNKNOWN = "data that no tool knows"
BLANK_BYTES = 2**20
NOTES = "/var/lib/platform-iac"
UNREADABLE = 8  # blkid(8): ambivalent signatures; 2: none at all


class ArrayError(RuntimeError):
    """The disks are not as they should be, or a tool failed; says why."""


@dataclass(frozen=True)
class Disk:
    """A whole disk and the signature on it: `kind` is empty on a blank one."""

    path: str
    kind: str
    uuid: str

    def __str__(self) -> str:
        return f"{self.path} ({self.kind or 'blank'}{f' {self.uuid}' if self.uuid else ''})"


def run(*command: str, good: tuple[int, ...] = (0,)) -> tuple[int, str]:
    """Run a command and return its status and output.

    Raises:
        ArrayError: it ended otherwise than in `good`.
    """
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=TIMEOUT_SECONDS, check=False)
    except (OSError, subprocess.TimeoutExpired) as error:
        raise ArrayError(f"{' '.join(command)}: {error}") from error
    if done.returncode not in good:
        raise ArrayError(f"{' '.join(command)}: {done.stderr.strip() or done.stdout.strip()}")
    return done.returncode, done.stdout


def candidates(kind: str, size_gb: int) -> list[Disk]:
    """Return the whole disks of this kind and size, with what is on them."""
    _, text = run("lsblk", "--json", "--bytes", "--nodeps", "--output", "PATH,TYPE,SIZE,ROTA")
    found = []
    for one in json.loads(text)["blockdevices"]:
        sort = "nvme" if one["path"].startswith("/dev/nvme") else "hdd" if one["rota"] else "ssd"
        fits = abs(int(one["size"]) - size_gb * 10**9) <= TOLERANCE * size_gb * 10**9
        if one["type"] == "disk" and sort == kind and fits:
            on = look(one["path"])
            found.append(on if on.kind or zeros(on.path) else Disk(on.path, UNKNOWN, ""))
    return sorted(found, key=lambda disk: disk.path)


def look(path: str) -> Disk:
    """Return a device with the signature that the device itself bears, past every cache."""
    status, text = run("blkid", "--probe", "--output", "export", path, good=(0, 2, UNREADABLE))
    if status == UNREADABLE:
        return Disk(path, "several signatures", "")
    values = dict(line.split("=", 1) for line in text.splitlines() if "=" in line)
    kind = values.get("TYPE") or (f"{values['PTTYPE']} partitions" if "PTTYPE" in values else "")
    return Disk(path, kind, values.get("UUID") or values.get("PTUUID", ""))


def zeros(path: str) -> bool:
    """Tell whether a device begins with nothing but zeros: no tool knows a superblock that is damaged.

    Raises:
        ArrayError: it cannot be read.
    """
    try:
        with open(path, "rb") as handle:  # noqa: PTH123
            return not any(handle.read(BLANK_BYTES))
    except OSError as error:
        raise ArrayError(f"{path}: {error}") from error


def same(one: str, other: str) -> bool:
    """Tell whether two UUIDs are one; mdadm writes them in groups of its own."""
    return (
        bool(one) and one.replace("-", "").replace(":", "").lower() == other.replace("-", "").replace(":", "").lower()
    )


def mine(disk: Disk, wanted: dict[str, Any]) -> bool:
    """Tell whether a disk is part of this array, or bears its file system itself."""
    if wanted["level"] == "none":
        return disk.kind == "xfs" and same(disk.uuid, wanted["filesystem_uuid"])
    return disk.kind == "linux_raid_member" and same(disk.uuid, wanted["array_uuid"])


def members(wanted: dict[str, Any]) -> tuple[list[Disk], list[Disk]]:
    """Return the disks that are in the array, and the blank ones to make it of.

    Raises:
        ArrayError: the disks are neither; names each.
    """
    disks = candidates(wanted["kind"], wanted["size_gb"])
    if own := [disk for disk in disks if mine(disk, wanted)]:
        return own, []
    blank = [disk for disk in disks if not disk.kind]
    if len(blank) != wanted["count"] or len(disks) != len(blank):
        told = ", ".join(str(disk) for disk in disks) or "none"
        raise ArrayError(
            f"the spec says {wanted['count']} {wanted['kind']} disks of {wanted['size_gb']} GB for data; those of that "
            f"size here: {told} - a disk that holds anything is never used: try xfs_repair where it should be this "
            f"platform's, clear it yourself where nobody needs it (wipefs --all, then zeros over its first MiB), or "
            "correct the pool's hardware"
        )
    return [], blank


def described(wanted: dict[str, Any], own: list[Disk]) -> dict[str, str]:
    """Return what mdadm says of the array, or of its disks where it does not run."""
    target = device(wanted, own)
    query = ("--detail", target) if Path(target).exists() else ("--examine", own[0].path)
    _, text = run("mdadm", query[0], "--export", query[1])
    return dict(line.split("=", 1) for line in text.splitlines() if "=" in line)


def compare(wanted: dict[str, Any], own: list[Disk]) -> None:
    """Refuse an array that is another one than the spec says.

    Raises:
        ArrayError: says what it is, and what to do.
    """
    has, target = described(wanted, own), device(wanted, own)
    if not same(has.get("MD_UUID", ""), wanted["array_uuid"]):
        raise ArrayError(
            f"{target} is the array {has.get('MD_UUID', 'of no UUID')}, not this platform's {wanted['array_uuid']} - "
            "it stays as it is: stop it or give it another name, and run again"
        )
    if "MD_LEVEL" not in has:
        raise ArrayError(f"{target} does not run (mdadm --detail) - start it by hand (mdadm --run), and run again")
    if (has["MD_LEVEL"], has["MD_DEVICES"]) != (wanted["level"], str(wanted["count"])):
        raise ArrayError(
            f"{target} is {has['MD_LEVEL']} of {has['MD_DEVICES']} disks, the spec says {wanted['level']} of "
            f"{wanted['count']} - it stays as it is: grow it by hand (mdadm --grow, then xfs_growfs) and run again, or "
            "correct the spec"
        )


def lacking(wanted: dict[str, Any]) -> list[str]:
    """Return a warning where the array runs with fewer disks than it should."""
    target = f"/dev/md/{wanted['name']}"
    if wanted["level"] == "none" or not Path(target).exists():
        return []
    _, text = run("mdadm", "--detail", "--export", target)
    roles = [line.rpartition("=")[2] for line in text.splitlines() if line.partition("=")[0].endswith("_ROLE")]
    there = sum(role.isdigit() for role in roles)
    if there >= wanted["count"]:
        return []
    return [f"{target} runs with {there} of {wanted['count']} disks: replace what is missing (mdadm --manage --add)"]


def device(wanted: dict[str, Any], disks: list[Disk]) -> str:
    """Return the device that the file system is on."""
    return disks[0].path if wanted["level"] == "none" else f"/dev/md/{wanted['name']}"


def making(wanted: dict[str, Any]) -> Path:
    """Return the note that an array is being made: there from before its first disk is written until it is whole."""
    return Path(f"{NOTES}/making-{wanted['filesystem_uuid']}")


def present(wanted: dict[str, Any], *, check: bool) -> list[str]:
    """Make array and file system where they are not there; return what was done in words.

    Raises:
        ArrayError: the disks, the array or what is on it are not this platform's, or are damaged; says what to do.
    """
    own, blank = members(wanted)
    target = device(wanted, own or blank)
    # A dry run on a host that lost its system finds its disks, but no mdadm yet.
    if own and wanted["level"] != "none" and not (check and shutil.which("mdadm") is None):
        compare(wanted, own)
    todo: list[tuple[str, tuple[str, ...]]] = []
    if wanted["level"] != "none" and not Path(target).exists():
        todo.append(assemble(target, own) if own else create(wanted, target, blank))
    done = [sentence for sentence, _ in todo]
    note = making(wanted)
    new = bool(blank) or note.exists()
    sentence = f"make an XFS file system on {target}"
    if check and (todo or blank):
        return [*done, sentence] if new else done
    if blank and todo:
        note.parent.mkdir(mode=0o755, parents=True, exist_ok=True)
        note.touch(mode=0o600)
    for _, command in todo:
        run(*command)
        run("udevadm", "settle", "--timeout=60")
    if missing(wanted, target, new=new):
        done.append(sentence)
        if not check:
            run("mkfs.xfs", "-q", "-m", f"uuid={wanted['filesystem_uuid']}", target)
            run("udevadm", "settle", "--timeout=60")
    if not check:
        note.unlink(missing_ok=True)
    return done


def missing(wanted: dict[str, Any], target: str, *, new: bool) -> bool:
    """Tell whether the file system is still to be made.

    Raises:
        ArrayError: another one is there, or none on a device that is not `new`; says what to do.
    """
    on = look(target)
    if on.kind == "" and not new:
        raise ArrayError(
            f"{target} is this platform's and was finished once, but blkid finds no file system on it - it may be "
            f"damaged, and stays as it is: try `xfs_repair -n {target}`, then `xfs_repair {target}`, and run again; "
            "where nobody needs what is on it, stop it and clear its disks by hand (wipefs --all, then zeros over the "
            "first MiB of each)"
        )
    if on.kind and (on.kind != "xfs" or not same(on.uuid, wanted["filesystem_uuid"])):
        raise ArrayError(f"{on} is not this platform's file system {wanted['filesystem_uuid']} - it stays as it is")
    return on.kind == ""


def create(wanted: dict[str, Any], target: str, blank: list[Disk]) -> tuple[str, tuple[str, ...]]:
    """Return the step that makes the array of blank disks."""
    paths = [disk.path for disk in blank]
    level = wanted["level"].removeprefix("raid")
    command = ["mdadm", "--create", target, "--run", "--homehost=any", f"--name={wanted['name']}", f"--level={level}"]
    command += [f"--uuid={wanted['array_uuid']}", f"--raid-devices={len(paths)}"]
    command += [] if level == "0" else ["--bitmap=internal"]  # after a crash only what was being written is resynced
    return f"make {wanted['level']} of {', '.join(paths)}", (*command, *paths)


def assemble(target: str, own: list[Disk]) -> tuple[str, tuple[str, ...]]:
    """Return the step that starts the array again."""
    paths = [disk.path for disk in own]
    return f"start the array of {', '.join(paths)}", ("mdadm", "--assemble", target, *paths)


def absent(wanted: dict[str, Any], *, check: bool) -> list[str]:
    """Stop the array; the disks keep what they hold."""
    target = f"/dev/md/{wanted['name']}"
    if wanted["level"] == "none" or not Path(target).exists():
        return []
    if not check:
        run("mdadm", "--stop", target)
    return [f"stop {target}"]


def main() -> None:
    """Run as an Ansible module."""
    module = AnsibleModule(
        argument_spec={
            "array": {"type": "dict", "required": True, "options": OPTIONS},
            "state": {"type": "str", "default": "present", "choices": ["present", "absent"]},
        },
        supports_check_mode=True,
    )
    act = present if module.params["state"] == "present" else absent
    try:
        done = act(module.params["array"], check=module.check_mode)
        for warning in lacking(module.params["array"]) if act is present else []:
            module.warn(warning)
    except ArrayError as error:
        module.fail_json(msg=str(error))
    text = "".join(f"{action}\n" for action in done)
    module.exit_json(changed=bool(done), actions=done, diff={"before": "", "after": text} if done else {})


if __name__ == "__main__":
    main()
