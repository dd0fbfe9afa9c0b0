#!/usr/bin/python
"""Ship many rendered files to a host in one task, or remove them."""

from __future__ import annotations

import grp
import os
import pwd
import re
import secrets as random
import stat
import subprocess
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ansible.module_utils.basic import AnsibleModule

DOCUMENTATION = r"""
module: host_files
short_description: Ship many rendered files in one task
description:
  - Writes every file atomically, with its final mode before the first byte; parents are made with mode 0755.
  - A file that cannot be written does not stop the others; the task fails at the end and names each.
  - C(@@secret/NAME@@) in a content stands for a secret. The action plugin of the same name supplies the values.
options:
  files:
    description: Path to content, mode (octal text), owner and group.
    type: dict
    required: true
  state:
    description: V(absent) removes the files, and parents that are empty then and belong to no package.
    choices: [present, absent]
    default: present
    type: str
  secrets:
    description: Values by name. Set by the action plugin only.
    type: dict
"""

RETURN = r"""
changed_paths:
  description: Files that changed, sorted; in check mode those that would change.
  type: list
"""

PLACEHOLDER = re.compile(r"@@secret/([A-Za-z0-9_.-]+)@@")
TOP = 2  # parts of `/etc`, which is never removed
PUBLIC = 0o004  # the bit of a mode that lets everyone read
HIDDEN = "(not shown: it may be a secret)\n"


@dataclass
class Outcome:
    """What happened to one file; no field holds a secret."""

    changed: bool = False
    diff: dict[str, str] = field(default_factory=dict)


@dataclass
class Current:
    """A file as it is on the host. `content` is None where there is no file."""

    content: bytes | None = None
    mode: str = ""
    owner: str = ""
    group: str = ""

    @property
    def attributes(self) -> str:
        """Mode and owner in one line."""
        return f"{self.mode} {self.owner}:{self.group}"


def read(path: str) -> Current:
    """Return the file at `path` as it is; a link counts as no file, for it will be replaced."""
    try:
        status = Path(path).lstat()
    except (FileNotFoundError, NotADirectoryError):
        return Current()
    if stat.S_ISLNK(status.st_mode):
        return Current()
    if not stat.S_ISREG(status.st_mode):
        raise OSError(f"{path} is there and is no regular file")
    return Current(
        Path(path).read_bytes(), f"{stat.S_IMODE(status.st_mode):04o}", _user(status.st_uid), _group(status.st_gid)
    )


def ship(path: str, wanted: dict[str, Any], secrets: dict[str, str], *, check: bool) -> Outcome:
    """Make `path` what `wanted` says; with `check` only say whether that would change anything."""
    current = read(path)
    content = fill(wanted["content"], secrets).encode()
    aim = Current(content, f"{int(str(wanted.get('mode', '0644')), 8):04o}", *_owner(wanted))
    if current == aim:
        return Outcome()
    if not check:
        if current.content == content:
            _attributes(path, aim)
        else:
            _replace(path, aim)
    return Outcome(changed=True, diff=difference(path, current, aim, wanted["content"], secrets))


def remove(path: str, wanted: dict[str, Any], secrets: dict[str, str], *, check: bool) -> Outcome:
    """Remove `path`, and parents that are empty then and belong to no package."""
    if not os.path.lexists(path):
        return Outcome()
    current = read(path)
    if not check:
        Path(path).unlink()
        _prune(Path(path).parent)
    return Outcome(changed=True, diff=difference(path, current, Current(), wanted.get("content", ""), secrets))


def fill(content: str, secrets: dict[str, str]) -> str:
    """Return `content` with every placeholder replaced.

    Raises:
        KeyError: a secret that was not supplied, by name.
    """
    return PLACEHOLDER.sub(lambda found: secrets[found.group(1)], content)


def difference(path: str, old: Current, new: Current, placeheld: str, secrets: dict[str, str]) -> dict[str, str]:
    """Return Ansible's diff of one file. Of one with secrets only the lines of the plan are shown.

    A file that not everyone may read counts as one: the plan before may have put a secret into it.
    """
    before, after = _text(old.content), _text(new.content)
    holds = bool(PLACEHOLDER.search(placeheld))
    if holds or (old.mode and not int(old.mode, 8) & PUBLIC):
        before = conceal(before, placeheld, secrets)
    if holds:
        after = placeheld if new.content is not None else ""
    if before == after and old.content is not None and new.content is not None:
        before, after = f"{old.attributes}\n{before}", f"{new.attributes}\n{after}"
    return {"before_header": path, "after_header": path, "before": before, "after": after}


def conceal(text: str, placeheld: str, secrets: dict[str, str]) -> str:
    """Return `text` with secrets as placeholders, and no line that `placeheld` does not have.

    An unknown line could be an older secret, so it is replaced by a remark.
    """
    for name, value in secrets.items():
        if value:
            text = text.replace(value, f"@@secret/{name}@@")
    known = set(placeheld.splitlines())
    return "".join(line if line.rstrip("\n") in known else HIDDEN for line in text.splitlines(keepends=True))


def _text(content: bytes | None) -> str:
    return "" if content is None else content.decode(errors="replace")


def _owner(wanted: dict[str, Any]) -> tuple[str, str]:
    return str(wanted.get("owner", "root")), str(wanted.get("group", "root"))


def _user(uid: int) -> str:
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return str(uid)


def _group(gid: int) -> str:
    try:
        return grp.getgrgid(gid).gr_name
    except KeyError:
        return str(gid)


def _ids(aim: Current) -> tuple[int, int]:
    try:
        return pwd.getpwnam(aim.owner).pw_uid, grp.getgrnam(aim.group).gr_gid
    except KeyError as error:
        raise OSError(f"no user or group of that name on this host: {aim.owner}:{aim.group}") from error


def _attributes(path: str, aim: Current) -> None:
    os.chown(path, *_ids(aim), follow_symlinks=False)
    Path(path).chmod(int(aim.mode, 8))


def _replace(path: str, aim: Current) -> None:
    """Write a new file beside `path` and rename it over; nothing is readable before its mode is final."""
    uid, gid = _ids(aim)
    folder = Path(path).parent
    _make_parents(folder)
    temporary = folder / f".{Path(path).name}.{random.token_hex(6)}"
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0)
    try:
        with os.fdopen(descriptor, "wb") as file:
            os.fchown(descriptor, uid, gid)
            os.fchmod(descriptor, int(aim.mode, 8))
            file.write(aim.content or b"")
            file.flush()
            os.fsync(descriptor)
        temporary.replace(path)
    except BaseException:
        temporary.unlink()
        raise


def _make_parents(folder: Path) -> None:
    if folder.is_dir():
        return
    _make_parents(folder.parent)
    folder.mkdir()
    folder.chmod(0o755)  # whatever the umask


def _prune(folder: Path) -> None:
    while len(folder.parts) > TOP and not any(folder.iterdir()) and not _packaged(folder):
        folder.rmdir()
        folder = folder.parent


def _packaged(folder: Path) -> bool:
    """Whether a package owns the folder; where that cannot be told, say yes and keep it."""
    try:
        done = subprocess.run(["dpkg-query", "-S", str(folder)], capture_output=True, timeout=60, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return True
    return done.returncode != 1


def main() -> None:
    """Run as an Ansible module."""
    module = AnsibleModule(
        argument_spec={
            "files": {"type": "dict", "required": True},
            "state": {"type": "str", "default": "present", "choices": ["present", "absent"]},
            "secrets": {"type": "dict", "default": {}, "no_log": True},
        },
        supports_check_mode=True,
    )
    act = ship if module.params["state"] == "present" else remove
    secrets = module.params["secrets"]
    changed, diffs, problems = [], [], []
    for path, wanted in sorted(module.params["files"].items()):
        try:
            outcome = act(path, wanted, secrets, check=module.check_mode)
        except (OSError, KeyError, ValueError) as error:
            problems.append(f"{path}: {error}")
            continue
        if outcome.changed:
            changed.append(path)
            diffs.append(outcome.diff)
    result = {"changed": bool(changed), "changed_paths": changed, "diff": diffs}
    if problems:
        module.fail_json(msg="; ".join(problems), **result)
    module.exit_json(**result)


if __name__ == "__main__":
    main()
