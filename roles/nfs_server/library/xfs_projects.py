#!/usr/bin/python
"""Limit what groups of folders may hold together, by project quotas of XFS."""

from __future__ import annotations

import fcntl
import os
import struct
import subprocess
from pathlib import Path
from typing import Any

from ansible.module_utils.basic import AnsibleModule

DOCUMENTATION = r"""
module: xfs_projects
short_description: Bring project quotas of an XFS file system to their state
description:
  - Each folder bears its project's number, which all that is made in it inherits.
  - A limit that is not asked for any more is taken away; what was written stays.
options:
  mount:
    description: Where the file system is mounted, with prjquota.
    type: path
    required: true
  projects:
    description: Name to id, limit_gib and paths (folders).
    type: dict
    required: true
"""

RETURN = r"""
actions:
  description: What was done, or in check mode would be, in words.
  type: list
"""

GETXATTR = 0x801C581F  # FS_IOC_FSGETXATTR (linux/fs.h)
LAYOUT = "IIIII8s"  # struct fsxattr: flags, extent size, extents, project, copy-on-write extent size, padding
INHERIT = 0x200  # FS_XFLAG_PROJINHERIT
KIB_OF_GIB = 1024 * 1024
TIMEOUT_SECONDS = 600
Step = tuple[str, str]


class QuotaError(RuntimeError):
    """The file system does not keep these quotas; says why."""


def quota(mount: str, command: str) -> str:
    """Run one command of xfs_quota and return its output.

    Raises:
        QuotaError: it failed; xfs_quota itself ends with 0 even then, so what it says counts too.
    """
    argv = ["xfs_quota", "-x", "-c", command, mount]
    try:
        done = subprocess.run(argv, capture_output=True, text=True, timeout=TIMEOUT_SECONDS, check=False)
    except (OSError, subprocess.TimeoutExpired) as error:
        raise QuotaError(f"xfs_quota {command}: {error}") from error
    if done.returncode != 0 or done.stderr.strip():
        raise QuotaError(f"xfs_quota {command}: {done.stderr.strip() or done.stdout.strip()}")
    return done.stdout


def limits(report: str) -> dict[int, int]:
    """Return the hard limits in KiB by project number from `report -p -b -n -N`, without those that have none."""
    found = {}
    for line in report.splitlines():
        cells = line.split()
        if len(cells) >= 4 and cells[0].startswith("#") and int(cells[3]) > 0:
            found[int(cells[0][1:])] = int(cells[3])
    return found


def project(path: str) -> tuple[int, bool]:
    """Return a folder's project, and whether what is made in it inherits that."""
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
    try:
        answer = fcntl.ioctl(descriptor, GETXATTR, bytes(struct.calcsize(LAYOUT)))
    finally:
        os.close(descriptor)
    flags, _, _, number, _, _ = struct.unpack(LAYOUT, answer)
    return number, bool(flags & INHERIT)


def steps(mount: str, projects: dict[str, dict[str, Any]]) -> list[Step]:
    """Return what has to be done, each a sentence and a command of xfs_quota."""
    have = limits(quota(mount, "report -p -b -n -N"))
    todo: list[Step] = []
    for name, wanted in sorted(projects.items()):
        todo += [
            (f"{path} counts for {name}", f"project -s -p {path} {wanted['id']}")
            for path in wanted["paths"]
            if project(path) != (wanted["id"], True)
        ]
        limit = int(wanted["limit_gib"]) * KIB_OF_GIB
        if have.pop(wanted["id"], 0) != limit:
            todo.append((f"{name} may keep {wanted['limit_gib']} GiB", f"limit -p bhard={limit}k {wanted['id']}"))
    return todo + [(f"project {number} has no limit any more", f"limit -p bhard=0 {number}") for number in sorted(have)]


def main() -> None:
    """Run as an Ansible module."""
    module = AnsibleModule(
        argument_spec={
            "mount": {"type": "path", "required": True},
            "projects": {"type": "dict", "required": True},
        },
        supports_check_mode=True,
    )
    mount, projects = module.params["mount"], module.params["projects"]
    try:
        if module.check_mode and not (os.path.ismount(mount) and Path("/usr/sbin/xfs_quota").exists()):
            todo = [(f"{name} may keep {wanted['limit_gib']} GiB", "") for name, wanted in sorted(projects.items())]
        elif module.check_mode:
            todo = steps(mount, {name: _there(wanted) for name, wanted in projects.items()})
        else:
            todo = steps(mount, projects)
            for _, command in todo:
                quota(mount, command)
    except (QuotaError, OSError) as error:
        module.fail_json(msg=str(error))
    actions = [sentence for sentence, _ in todo]
    text = "".join(f"{action}\n" for action in actions)
    module.exit_json(changed=bool(todo), actions=actions, diff={"before": "", "after": text} if todo else {})


def _there(wanted: dict[str, Any]) -> dict[str, Any]:
    """In a dry run some folders are not made yet."""
    return {**wanted, "paths": [path for path in wanted["paths"] if Path(path).is_dir()]}


if __name__ == "__main__":
    main()
