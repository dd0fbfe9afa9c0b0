#!/usr/bin/python
"""Make people's folders on storage in one task: they begin with the right owner and mode, and are never removed."""

from __future__ import annotations

import os
import shutil
import stat
from pathlib import Path
from typing import Any

from ansible.module_utils.basic import AnsibleModule

DOCUMENTATION = r"""
module: host_folders
short_description: Make many folders with their owners, on storage that must be mounted
description:
  - What is in a folder belongs to people, so nothing is ever removed and only the folder itself is looked at.
  - A link in the place of a folder is refused, never followed.
options:
  folders:
    description: Path to owner and group (numbers), mode (octal text) and skeleton (begin with a copy of /etc/skel).
    type: dict
    required: true
  below:
    description: A mount point that must be mounted; without it folders would be made on the system's own disk.
    type: path
"""

RETURN = r"""
actions:
  description: What was done, or in check mode would be, in words.
  type: list
"""

SKELETON = Path("/etc/skel")


class FolderError(RuntimeError):
    """A folder cannot be made as asked; says why."""


def settle(path: str, wanted: dict[str, Any], *, check: bool) -> list[str]:
    """Make one folder what it should be; return what was done in words.

    Raises:
        FolderError: something else is in its place.
    """
    owner, group, mode = int(wanted["owner"]), int(wanted["group"]), int(str(wanted["mode"]), 8)
    try:
        status = Path(path).lstat()
    except FileNotFoundError:
        if not check:
            make(Path(path), owner, group, mode, skeleton=bool(wanted.get("skeleton")))
        return [f"make {path}"]
    if not stat.S_ISDIR(status.st_mode):
        raise FolderError(f"{path} is there and is no folder")
    done = []
    if (status.st_uid, status.st_gid) != (owner, group):
        done.append(f"{path} belongs to {status.st_uid}:{status.st_gid}, becomes {owner}:{group}'s")
        if not check:
            os.chown(path, owner, group, follow_symlinks=False)
    if (now := stat.S_IMODE(status.st_mode)) != mode:
        done.append(f"{path} is {now:04o}, becomes {mode:04o}")
        if not check:
            Path(path).chmod(mode)
    return done


def make(path: Path, owner: int, group: int, mode: int, *, skeleton: bool) -> None:
    """Make a folder beside its place and move it there when it is complete: nobody ever sees half of it."""
    part = path.with_name(f".{path.name}.part")
    shutil.rmtree(part, ignore_errors=True)
    part.mkdir(mode=0o700)
    if skeleton and SKELETON.is_dir():
        shutil.copytree(SKELETON, part, symlinks=True, dirs_exist_ok=True)
    for folder, names, files in os.walk(part):
        for name in (*names, *files):
            os.chown(Path(folder) / name, owner, group, follow_symlinks=False)
    os.chown(part, owner, group)
    part.chmod(mode)
    part.rename(path)


def main() -> None:
    """Run as an Ansible module."""
    module = AnsibleModule(
        argument_spec={"folders": {"type": "dict", "required": True}, "below": {"type": "path"}},
        supports_check_mode=True,
    )
    below, folders = module.params["below"], module.params["folders"]
    if below and not module.check_mode and not os.path.ismount(below):
        module.fail_json(msg=f"{below} is not mounted: folders would lie on the system's own disk")
    done: list[str] = []
    problems = []
    for path, wanted in sorted(folders.items()):
        try:
            done += settle(path, wanted, check=module.check_mode)
        except (FolderError, OSError, shutil.Error) as error:
            problems.append(str(error))
    if problems:
        module.fail_json(msg="; ".join(problems), actions=done)
    text = "".join(f"{action}\n" for action in done)
    module.exit_json(changed=bool(done), actions=done, diff={"before": "", "after": text} if done else {})


if __name__ == "__main__":
    main()
