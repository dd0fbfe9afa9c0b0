#!/usr/bin/python
"""Make MLflow's accounts those of the platform's members, in one task and through MLflow's own interface."""

from __future__ import annotations

import base64
import json
import time
import urllib.error
import urllib.request
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from ansible.module_utils.basic import AnsibleModule

DOCUMENTATION = r"""
module: mlflow_users
short_description: Make MLflow's accounts those that a file names
description:
  - Adds who is missing, removes who is not named and no administrator, and sets a password that does not log in.
  - Passwords are read from files on the host, so that they are in no argument, result or log.
  - In check mode a server or file that is not there yet counts as a change, not as a failure.
options:
  address:
    description: Base address of the server.
    type: str
    required: true
  users_file:
    description: JSON file, password by account.
    type: path
    required: true
  admin_file:
    description: Environment file with the value of C(MLFLOW_AUTH_ADMIN_PASSWORD).
    type: path
    required: true
  wait_seconds:
    description: How long the server may take to answer at all; the first start makes its tables.
    type: int
    default: 300
"""

RETURN = r"""
actions:
  description: What was done, or in check mode would be, in words.
  type: list
"""

ADMIN = "admin"
PASSWORD = "MLFLOW_AUTH_ADMIN_PASSWORD="  # noqa: S105  the name of a variable
TIMEOUT_SECONDS = 60
AT_ONCE = 4
Step = tuple[str, str, dict[str, str]]


class UsersError(RuntimeError):
    """MLflow did not do what was asked; says why, and never with what password."""


class Server:
    """MLflow's interface for accounts, as one of them."""

    def __init__(self, address: str, user: str, password: str) -> None:
        self._base = f"{address}/api/2.0/mlflow/users"
        self._login = base64.b64encode(f"{user}:{password}".encode()).decode()

    def call(self, verb: str, what: str, body: dict[str, str] | None = None) -> dict[str, Any]:
        """Return MLflow's answer.

        Raises:
            UsersError: MLflow refused; with its reason.
            urllib.error.URLError: it does not answer.
        """
        request = urllib.request.Request(  # noqa: S310  the plan's address, always http
            f"{self._base}/{what}",
            method=verb,
            data=json.dumps(body).encode() if body is not None else None,
            headers={"Authorization": f"Basic {self._login}", "Content-Type": "application/json"},
        )
        try:
            with urllib.request.urlopen(request, timeout=TIMEOUT_SECONDS) as answer:  # noqa: S310
                text = answer.read() or b"{}"
        except urllib.error.HTTPError as error:
            reason = error.read().decode(errors="replace")[:300].strip()
            raise UsersError(f"{verb} users/{what}: HTTP {error.code}: {reason}") from error
        return dict(json.loads(text))

    def logs_in(self) -> bool:
        """Tell whether this account's password is right."""
        try:
            self.call("GET", "current")
        except UsersError as error:
            if "HTTP 401" in str(error):
                return False
            raise
        return True


def await_answer(address: str, seconds: int) -> None:
    """Return when the server answers at all.

    Raises:
        UsersError: it did not in time.
    """
    deadline = time.monotonic() + seconds
    while True:
        try:
            with urllib.request.urlopen(f"{address}/health", timeout=10):  # noqa: S310
                return
        except OSError as error:
            if time.monotonic() > deadline:
                raise UsersError(f"{address} did not answer within {seconds} s: {error}") from error
            time.sleep(0.5)


def steps(address: str, admin: Server, wanted: dict[str, str]) -> list[Step]:
    """Return what has to be done: a sentence, the call, and its body.

    Raises:
        UsersError: the administrator's password is not the server's.
    """
    if not admin.logs_in():
        raise UsersError(
            f"MLflow does not know the password of its {ADMIN} any more: it was changed by hand, or the platform's"
            " secrets were made anew over an old database — set it back in MLflow, or remove the role and run again"
        )
    known = {user["username"]: user["is_admin"] for user in admin.call("GET", "list")["users"]}
    todo: list[Step] = [
        (f"remove {name}", "delete", {"username": name})
        for name, is_admin in sorted(known.items())
        if name not in wanted and not is_admin
    ]
    there = sorted(wanted.keys() & known.keys())
    with ThreadPoolExecutor(max_workers=AT_ONCE) as pool:
        answers = pool.map(lambda name: Server(address, name, wanted[name]).logs_in(), there)
        right = dict(zip(there, answers, strict=True))
    for name, password in sorted(wanted.items()):
        body = {"username": name, "password": password}
        if name not in known:
            todo.append((f"add {name}", "create", body))
        elif not right[name]:
            todo.append((f"set the password of {name}", "update-password", body))
    return todo


VERBS = {"create": "POST", "update-password": "PATCH", "delete": "DELETE"}


def read(users_file: Path, admin_file: Path) -> tuple[dict[str, str], str]:
    """Return the passwords by account, and the administrator's."""
    users = {str(name): str(password) for name, password in json.loads(users_file.read_text("utf-8")).items()}
    lines = admin_file.read_text("utf-8").splitlines()
    return users, next(line.removeprefix(PASSWORD) for line in lines if line.startswith(PASSWORD))


def plan(parameters: dict[str, Any], *, check: bool) -> tuple[Server | None, list[Step]]:
    """Return the server and what has to be done there."""
    address = parameters["address"]
    try:
        wanted, password = read(Path(parameters["users_file"]), Path(parameters["admin_file"]))
        await_answer(address, 5 if check else parameters["wait_seconds"])
    except (OSError, UsersError):
        if not check:
            raise
        return None, [("add the members' accounts", "create", {})]
    admin = Server(address, ADMIN, password)
    return admin, steps(address, admin, wanted)


def main() -> None:
    """Run as an Ansible module."""
    module = AnsibleModule(
        argument_spec={
            "address": {"type": "str", "required": True},
            "users_file": {"type": "path", "required": True},
            "admin_file": {"type": "path", "required": True},
            "wait_seconds": {"type": "int", "default": 300},
        },
        supports_check_mode=True,
    )
    try:
        server, todo = plan(module.params, check=module.check_mode)
        for _, what, body in [] if module.check_mode or server is None else todo:
            server.call(VERBS[what], what, body)
    except (UsersError, OSError, ValueError, StopIteration) as error:
        module.fail_json(msg=f"{type(error).__name__}: {error}")
    actions = [sentence for sentence, *_ in todo]
    text = "".join(f"{action}\n" for action in actions)
    module.exit_json(changed=bool(todo), actions=actions, diff={"before": "", "after": text} if todo else {})


if __name__ == "__main__":
    main()
