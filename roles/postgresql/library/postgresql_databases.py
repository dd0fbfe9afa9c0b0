#!/usr/bin/python
"""Make PostgreSQL databases and their owners in one task, over the local socket and without passwords."""

from __future__ import annotations

import shutil
import subprocess
from typing import Any

from ansible.module_utils.basic import AnsibleModule

DOCUMENTATION = r"""
module: postgresql_databases
short_description: Make databases and the roles that own them
description:
  - An owner may log in and nothing more. Peer authentication lets in the system's account of the same name.
  - Databases are UTF-8 whatever the cluster's locale. None is ever dropped here; the package's removal does that.
  - In check mode a host without PostgreSQL counts as a change, not as a failure.
options:
  databases:
    description: Name to owner.
    type: dict
    required: true
"""

RETURN = r"""
actions:
  description: What was done, or in check mode would be, in words.
  type: list
"""

TIMEOUT_SECONDS = 60
Step = tuple[str, str]


class DatabaseError(RuntimeError):
    """PostgreSQL did not do what was asked; says why."""


def psql(statement: str) -> list[list[str]]:
    """Run one statement as the cluster's administrator and return its rows.

    Raises:
        DatabaseError: it failed; with PostgreSQL's words.
    """
    style = ["-XAtq", "-F", "\t", "-v", "ON_ERROR_STOP=1"]
    command = ["runuser", "-u", "postgres", "--", "psql", *style, "-d", "postgres"]
    try:
        done = subprocess.run(
            command, input=statement, capture_output=True, text=True, timeout=TIMEOUT_SECONDS, check=False, cwd="/"
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise DatabaseError(str(error)) from error
    if done.returncode != 0:
        raise DatabaseError(done.stderr.strip() or done.stdout.strip())
    return [line.split("\t") for line in done.stdout.splitlines()]


def quoted(name: str) -> str:
    """Return an SQL identifier."""
    return '"' + name.replace('"', '""') + '"'


def steps(databases: dict[str, str], roles: set[str], owners: dict[str, str]) -> list[Step]:
    """Return what has to be done, each a sentence and its statement; `owners` are the databases there are."""
    todo = [
        (f"add role {owner}", f"CREATE ROLE {quoted(owner)} LOGIN") for owner in sorted(set(databases.values()) - roles)
    ]
    for name, owner in sorted(databases.items()):
        if name not in owners:
            locale = "TEMPLATE template0 ENCODING 'UTF8' LOCALE 'C.UTF-8'"
            todo.append((f"add database {name}", f"CREATE DATABASE {quoted(name)} OWNER {quoted(owner)} {locale}"))
        elif owners[name] != owner:
            todo.append((f"{name} now belongs to {owner}", f"ALTER DATABASE {quoted(name)} OWNER TO {quoted(owner)}"))
    return todo


def main() -> None:
    """Run as an Ansible module."""
    module = AnsibleModule(argument_spec={"databases": {"type": "dict", "required": True}}, supports_check_mode=True)
    databases: dict[str, Any] = module.params["databases"]
    try:
        if module.check_mode and not shutil.which("psql"):
            todo = steps(databases, set(), {})
        else:
            roles = {row[0] for row in psql("SELECT rolname FROM pg_roles")}
            owners = {row[0]: row[1] for row in psql("SELECT datname, pg_get_userbyid(datdba) FROM pg_database")}
            todo = steps(databases, roles, owners)
        for _, statement in [] if module.check_mode else todo:
            psql(statement)
    except DatabaseError as error:
        module.fail_json(msg=str(error))
    actions = [sentence for sentence, _ in todo]
    text = "".join(f"{action}\n" for action in actions)
    module.exit_json(changed=bool(todo), actions=actions, diff={"before": "", "after": text} if todo else {})


if __name__ == "__main__":
    main()
