#!/usr/bin/python
"""Make the accounts of a platform's people on a host in one task, with the same uid everywhere."""

from __future__ import annotations

import grp
import pwd
import subprocess
from pathlib import Path
from typing import Any

from ansible.module_utils.basic import AnsibleModule

DOCUMENTATION = r"""
module: host_users
short_description: Make and remove the accounts of people in one task
description:
  - An account carries the mark C(platform-iac) in its GECOS field. Marked accounts that are not asked for are removed,
    so that who leaves a team loses access; their homes stay, what is in them belongs to people.
  - An account has no password, a group of its own with gid = uid, and a home of mode 0700.
  - An account of that name or uid that is not marked and differs is a failure, never a takeover.
options:
  users:
    description: Name to uid, shell and groups (further groups, which must exist).
    type: dict
    required: true
  homes:
    description: V(false) where homes come from shared storage, which makes them itself.
    default: true
    type: bool
  state:
    description: V(absent) removes all marked accounts.
    choices: [present, absent]
    default: present
    type: str
"""

RETURN = r"""
actions:
  description: What was done, or in check mode would be, in words.
  type: list
"""

MARK = "platform-iac"
TIMEOUT_SECONDS = 60
Step = tuple[str, tuple[str, ...]]


class UserError(RuntimeError):
    """An account cannot be made as asked; says why."""


def marked() -> dict[str, pwd.struct_passwd]:
    """Return the accounts that this module has made, by name."""
    return {entry.pw_name: entry for entry in pwd.getpwall() if entry.pw_gecos.split(",")[0] == MARK}


def steps(users: dict[str, dict[str, Any]], *, homes: bool = True) -> list[Step]:
    """Return what has to be done, each a sentence and the command that does it; without `homes` none is made here.

    Raises:
        UserError: names every account that is in the way.
    """
    mine = marked()
    if problems := [problem for name, wanted in sorted(users.items()) for problem in _in_the_way(name, wanted, mine)]:
        raise UserError("; ".join(problems))
    todo = [step for name in sorted(mine.keys() - users.keys()) for step in _leave(name)]
    for name, wanted in sorted(users.items()):
        todo += _change(mine[name], wanted, homes=homes) if name in mine else _join(name, wanted, homes=homes)
    return todo


def _in_the_way(name: str, wanted: dict[str, Any], mine: dict[str, pwd.struct_passwd]) -> list[str]:
    problems = []
    for entry in pwd.getpwall():
        if entry.pw_name == name and name not in mine:
            problems.append(f"an account {name} is there already and is not this platform's")
        if entry.pw_name == name and entry.pw_uid != wanted["uid"]:
            problems.append(f"{name} has uid {entry.pw_uid} here, the spec says {wanted['uid']}")
        if entry.pw_uid == wanted["uid"] and entry.pw_name != name:
            problems.append(f"uid {wanted['uid']} of {name} is taken by {entry.pw_name}")
    return problems


def _join(name: str, wanted: dict[str, Any], *, homes: bool) -> list[Step]:
    uid = str(wanted["uid"])
    groups = ",".join(sorted(wanted.get("groups") or []))
    add = ["useradd", "--uid", uid, "--gid", uid, "--comment", MARK, "--shell", _shell(wanted)]
    add += ["--create-home"] if homes else ["--no-create-home"]
    add += ["--key", "HOME_MODE=0700"] + (["--groups", groups] if groups else []) + [name]
    group = [] if _group_exists(name, int(uid)) else [(f"add group {name}", ("groupadd", "--gid", uid, name))]
    return [*group, (f"add {name} ({uid})", tuple(add))]


def _change(entry: pwd.struct_passwd, wanted: dict[str, Any], *, homes: bool) -> list[Step]:
    name = entry.pw_name
    todo: list[Step] = []
    if entry.pw_shell != _shell(wanted):
        todo.append((f"shell of {name} becomes {_shell(wanted)}", ("usermod", "--shell", _shell(wanted), name)))
    has = {group.gr_name for group in grp.getgrall() if name in group.gr_mem}
    if has != set(wanted.get("groups") or []):
        groups = ",".join(sorted(wanted.get("groups") or []))
        todo.append((f"groups of {name} become {groups or 'none'}", ("usermod", "--groups", groups, name)))
    if not homes:
        return todo
    if not Path(entry.pw_dir).is_dir():
        todo.append((f"make {entry.pw_dir}", ("mkhomedir_helper", name, "0077")))
    elif (mode := Path(entry.pw_dir).stat().st_mode & 0o7777) != 0o700:
        todo.append((f"{entry.pw_dir} is {mode:04o}, becomes 0700", ("chmod", "0700", entry.pw_dir)))
    return todo


def _leave(name: str) -> list[Step]:
    """`--force`: also while the person is logged in; without `--remove` the home stays."""
    return [(f"remove {name}, keep the home", ("userdel", "--force", name))]


def _shell(wanted: dict[str, Any]) -> str:
    return str(wanted.get("shell") or "/bin/bash")


def _group_exists(name: str, gid: int) -> bool:
    try:
        found = grp.getgrnam(name)
    except KeyError:
        return False
    if found.gr_gid != gid:
        raise UserError(f"group {name} has gid {found.gr_gid} here, the spec says {gid}")
    return True


def execute(command: tuple[str, ...]) -> None:
    """Run one command.

    Raises:
        UserError: it failed; with what it said.
    """
    done = subprocess.run(command, capture_output=True, text=True, timeout=TIMEOUT_SECONDS, check=False)
    if done.returncode != 0:
        raise UserError(f"{' '.join(command)}: {done.stderr.strip() or done.stdout.strip()}")


def main() -> None:
    """Run as an Ansible module."""
    module = AnsibleModule(
        argument_spec={
            "users": {"type": "dict", "required": True},
            "homes": {"type": "bool", "default": True},
            "state": {"type": "str", "default": "present", "choices": ["present", "absent"]},
        },
        supports_check_mode=True,
    )
    try:
        users = module.params["users"] if module.params["state"] == "present" else {}
        todo = steps(users, homes=module.params["homes"])
        for _, command in [] if module.check_mode else todo:
            execute(command)
    except (UserError, OSError, subprocess.TimeoutExpired) as error:
        module.fail_json(msg=str(error))
    actions = [sentence for sentence, _ in todo]
    text = "".join(f"{action}\n" for action in actions)
    module.exit_json(changed=bool(todo), actions=actions, diff={"before": "", "after": text} if todo else {})


if __name__ == "__main__":
    main()
