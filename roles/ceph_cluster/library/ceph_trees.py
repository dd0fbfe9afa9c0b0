#!/usr/bin/python
"""Make people's directories and teams' quotas in CephFS in one task, without mounting it."""

from __future__ import annotations

import os
import stat
import time
from pathlib import Path
from typing import Any

from ansible.module_utils.basic import AnsibleModule

DOCUMENTATION = r"""
module: ceph_trees
short_description: Make directories, links and quotas in CephFS
description:
  - Through libcephfs, as the administrator. What is in a directory is never touched, and none is removed.
  - A new private directory gets the files of /etc/skel, as a new account's home does.
  - In check mode a host without Ceph counts as a change, not as a failure.
options:
  trees:
    description: >-
      File system to folders (path to mode, uid, quota_bytes and skeleton) and links (path to target).
    type: dict
    required: true
"""

RETURN = r"""
actions:
  description: What was done, or in check mode would be, in words.
  type: list
"""

QUOTA = "ceph.quota.max_bytes"
ANSWER_SECONDS = 120
SKELETON = Path("/etc/skel")


class TreeError(RuntimeError):
    """Something is in the way; says what, and what to do."""


class Tree:
    """One file system. `check` only tells; `done` is what was or would be done."""

    def __init__(self, name: str, *, check: bool) -> None:
        import cephfs  # comes with the role's packages

        self.name, self.check, self.done = name, check, list[str]()
        self.absent = cephfs.ObjectNotFound
        self.none = (cephfs.ObjectNotFound, cephfs.NoData)
        # Without a time limit a cluster that does not answer would be waited for without end.
        limits = {"client_mount_timeout": str(ANSWER_SECONDS), "rados_mon_op_timeout": str(ANSWER_SECONDS)}
        self.fs = cephfs.LibCephFS(auth_id="admin", conffile="/etc/ceph/ceph.conf", conf=limits)
        self._mount(cephfs)

    def _mount(self, cephfs: Any) -> None:
        end = time.monotonic() + ANSWER_SECONDS
        while True:
            try:
                self.fs.mount(filesystem_name=self.name.encode())
            except cephfs.Error as error:  # a new file system has no active server for a moment
                if time.monotonic() > end:
                    raise TreeError(f"file system {self.name} does not answer: {error}") from error
                time.sleep(0.5)
            else:
                return

    def folder(self, path: str, wanted: dict[str, Any]) -> None:
        """Make a directory with its owner, mode and quota."""
        mode, uid, quota = int(wanted["mode"], 8), int(wanted.get("uid", 0)), int(wanted.get("quota_bytes", 0))
        try:
            found = self.fs.lstat(path)
        except self.absent:
            self._do(f"make {self.name}:{path}")
            if self.check:
                return
            self.fs.mkdir(path, 0o700)
            if wanted.get("skeleton"):
                self._skeleton(path, uid)
            found = self.fs.lstat(path)
        if not stat.S_ISDIR(found.st_mode):
            raise TreeError(f"{self.name}:{path} is there and is no directory — move it away, then run again")
        if (found.st_uid, found.st_gid) != (uid, uid):
            self._do(f"{self.name}:{path} belongs to {uid}")
            if not self.check:
                self.fs.chown(path, uid, uid)
        if stat.S_IMODE(found.st_mode) != mode:
            self._do(f"mode of {self.name}:{path} becomes {mode:04o}")
            if not self.check:
                self.fs.chmod(path, mode)
        if self._quota(path) != quota:
            self._do(f"quota of {self.name}:{path} becomes {quota} bytes")
            if not self.check:
                self.fs.setxattr(path, QUOTA, str(quota).encode(), 0)

    def link(self, path: str, target: str) -> None:
        """Make a symbolic link; one that points elsewhere is somebody's decision, not ours to undo."""
        try:
            found = self.fs.lstat(path)
        except self.absent:
            self._do(f"link {self.name}:{path} to {target}")
            if not self.check:
                self.fs.symlink(target, path)
            return
        there = self.fs.readlink(path, 4096).decode() if stat.S_ISLNK(found.st_mode) else "no link"
        if there != target:
            raise TreeError(
                f"{self.name}:{path} is {there}, the spec says {target} — move what is in it, remove it and run again"
            )

    def close(self) -> None:
        """Write everything and let go."""
        self.fs.unmount()
        self.fs.shutdown()

    def _quota(self, path: str) -> int:
        try:
            return int(self.fs.getxattr(path, QUOTA) or b"0")
        except self.none:
            return 0

    def _skeleton(self, path: str, uid: int) -> None:
        for source in sorted(item for item in SKELETON.glob("*") if item.is_file()):
            target = f"{path}/{source.name}"
            handle = self.fs.open(target, os.O_WRONLY | os.O_CREAT, 0o644)
            self.fs.write(handle, source.read_bytes(), 0)
            self.fs.close(handle)
            self.fs.chown(target, uid, uid)

    def _do(self, sentence: str) -> None:
        self.done.append(sentence)


def main() -> None:
    """Run as an Ansible module."""
    module = AnsibleModule(
        argument_spec={"trees": {"type": "dict", "required": True}},
        supports_check_mode=True,
    )
    done: list[str] = []
    for name, tree in sorted(module.params["trees"].items()):
        try:
            files = Tree(name, check=module.check_mode)
            for path, wanted in sorted(tree["folders"].items()):
                files.folder(path, wanted)
            for path, target in sorted(tree["links"].items()):
                files.link(path, target)
            files.close()
        except ImportError as error:
            if not module.check_mode:
                module.fail_json(msg=str(error))
            done.append(f"everything in {name}")
        except (TreeError, OSError) as error:  # the errors of libcephfs are OSErrors
            if not module.check_mode:
                module.fail_json(msg=f"{name}: {error}")
            done.append(f"everything in {name}")
        else:
            done += files.done
    text = "".join(f"{action}\n" for action in done)
    module.exit_json(changed=bool(done), actions=done, diff={"before": "", "after": text} if done else {})


if __name__ == "__main__":
    main()
