#!/usr/bin/python
"""Limit what groups of folders may hold together, by project quotas of XFS."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import struct
import subprocess
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

from ansible.module_utils.basic import AnsibleModule

DOCUMENTATION = r"""
module: xfs_projects
short_description: Bring project quotas of an XFS file system to their state
description:
  - Each folder bears its project's number, which all that is made in it inherits. It hands it on only when all below
    bears it, so the next run does again what was interrupted. Links, pipes and sockets bear none.
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

GETXATTR, SETXATTR = 0x801C581F, 0x401C5820  # FS_IOC_FSGETXATTR, FS_IOC_FSSETXATTR (linux/fs.h)
LAYOUT = "IIIII8s"  # struct fsxattr: flags, extent size, extents, project, copy-on-write extent size, padding
INHERIT = 0x200  # FS_XFLAG_PROJINHERIT
KIB_OF_GIB = 1024 * 1024
TIMEOUT_SECONDS = 600
Step = tuple[str, Callable[[], object]]


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


@contextlib.contextmanager
def opened(path: str) -> Iterator[int]:
    """A descriptor of what has exactly this path; what a link leads to counts as gone.

    People work in these folders meanwhile, and one who puts a link in a folder's place must not reach another's.
    """
    descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NOCTTY)
    try:
        if str(Path(f"/proc/self/fd/{descriptor}").readlink()) != path:
            raise FileNotFoundError(errno.ENOENT, "it is elsewhere now", path)
        yield descriptor
    finally:
        os.close(descriptor)


@contextlib.contextmanager
def unless_gone() -> Iterator[None]:
    """Leave out what was removed or replaced meanwhile."""
    try:
        yield
    except OSError as error:
        if error.errno not in (errno.ENOENT, errno.ENOTDIR, errno.ELOOP):
            raise


def attributes(descriptor: int) -> tuple[Any, ...]:
    """Return what a file or folder bears, as LAYOUT has it."""
    return struct.unpack(LAYOUT, fcntl.ioctl(descriptor, GETXATTR, bytes(struct.calcsize(LAYOUT))))


def project(path: str) -> tuple[int, bool]:
    """Return the project of a file or folder, and whether what is made in it inherits that."""
    with opened(path) as descriptor:
        flags, _, _, number, _, _ = attributes(descriptor)
    return number, bool(flags & INHERIT)


def give(path: str, number: int, *, inherited: bool) -> None:
    """Give a file or folder its project."""
    with opened(path) as descriptor:
        flags, size, extents, _, shared, rest = attributes(descriptor)
        flags = flags | INHERIT if inherited else flags & ~INHERIT
        fcntl.ioctl(descriptor, SETXATTR, struct.pack(LAYOUT, flags, size, extents, number, shared, rest))


def entries(folder: str) -> list[tuple[str, bool]]:
    """Return the files and folders in a folder, and which are folders; links, pipes and sockets bear no project."""
    with opened(folder) as descriptor, os.scandir(descriptor) as found:
        every = [
            (f"{folder}/{one.name}", one.is_dir(follow_symlinks=False), one.is_file(follow_symlinks=False))
            for one in found
        ]
    return [(path, is_folder) for path, is_folder, is_file in every if is_folder or is_file]


def spread(path: str, number: int, *, is_folder: bool) -> None:
    """Give a file, or a folder and all below it, a project: a folder first, so that what is made meanwhile inherits."""
    todo = [(path, is_folder)]
    while todo:
        path, is_folder = todo.pop()
        with unless_gone():
            give(path, number, inherited=is_folder)
            if is_folder:
                todo += entries(path)


def settle(top: str, number: int) -> None:
    """Give a folder and all below it their project. What is made in it inherits that only when all is done.

    What people made meanwhile in the folder itself is looked for afterwards.
    """
    give(top, number, inherited=False)
    for path, is_folder in entries(top):
        spread(path, number, is_folder=is_folder)
    give(top, number, inherited=True)
    for path, is_folder in entries(top):
        with unless_gone():
            if project(path) != (number, is_folder):
                spread(path, number, is_folder=is_folder)


def steps(mount: str, projects: dict[str, dict[str, Any]]) -> list[Step]:
    """Return what has to be done, each a sentence and what does it."""
    have = limits(quota(mount, "report -p -b -n -N"))
    todo: list[Step] = []
    for name, wanted in sorted(projects.items()):
        todo += [
            (f"{path} counts for {name}", partial(settle, path, wanted["id"]))
            for path in wanted["paths"]
            if project(path) != (wanted["id"], True)
        ]
        limit = int(wanted["limit_gib"]) * KIB_OF_GIB
        if have.pop(wanted["id"], 0) != limit:
            set_limit = partial(quota, mount, f"limit -p bhard={limit}k {wanted['id']}")
            todo.append((f"{name} may keep {wanted['limit_gib']} GiB", set_limit))
    return todo + [
        (f"project {number} has no limit any more", partial(quota, mount, f"limit -p bhard=0 {number}"))
        for number in sorted(have)
    ]


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
            actions = [f"{name} may keep {wanted['limit_gib']} GiB" for name, wanted in sorted(projects.items())]
        elif module.check_mode:
            todo = steps(mount, {name: _there(wanted) for name, wanted in projects.items()})
            actions = [sentence for sentence, _ in todo]
        else:
            todo = steps(mount, projects)
            actions = [sentence for sentence, _ in todo]
            for _, act in todo:
                act()
    except (QuotaError, OSError) as error:
        module.fail_json(msg=str(error))
    text = "".join(f"{action}\n" for action in actions)
    module.exit_json(changed=bool(actions), actions=actions, diff={"before": "", "after": text} if actions else {})


def _there(wanted: dict[str, Any]) -> dict[str, Any]:
    """In a dry run some folders are not made yet."""
    return {**wanted, "paths": [path for path in wanted["paths"] if Path(path).is_dir()]}


if __name__ == "__main__":
    main()
