#!/usr/bin/python
"""Bring MLflow's database to the schema of the release that is installed, with a copy of it before."""

from __future__ import annotations

import fcntl
import json
import os
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit

from ansible.module_utils.basic import AnsibleModule

DOCUMENTATION = r"""
module: mlflow_schema
short_description: Bring MLflow's database to the release that is installed
description:
  - Asks the databases which schema they have, and the installed release which one it wants. Nothing is done where these
    agree; the server makes the tables of an empty database itself.
  - Otherwise both databases are copied with C(pg_dump), and C(mlflow db upgrade) changes the tracking database. The
    server brings that of accounts along when it starts. The newest copies are kept.
  - The server must be stopped. A run that was killed is made good by the next one.
options:
  database:
    description: SQLAlchemy address of the tracking database. It is an argument of programs, so it has no password.
    type: str
    required: true
  accounts_database:
    description: SQLAlchemy address of the database of accounts, likewise.
    type: str
    required: true
  environment:
    description: Python environment of the server.
    type: path
    default: /opt/platform/mlflow
  copies:
    description: Directory of the copies, of root only.
    type: path
    default: /var/backups/mlflow
"""

RETURN = r"""
behind:
  description: Databases whose schema is not the release's, as in C(tracking 75868b020152 instead of dc11669786a5).
  type: list
copies:
  description: The copies that were made.
  type: list
"""

USER = "mlflow"
KEPT = 3
ASK_SECONDS = 300
WORK_SECONDS = 12 * 3600
"""How long a copy may take, and an upgrade, which may rewrite every row."""

ENVIRONMENT = {
    "PATH": "/usr/bin:/bin",
    "HOME": "/nonexistent",
    "LC_ALL": "C.UTF-8",
    "PYTHONDONTWRITEBYTECODE": "1",
    "MLFLOW_DISABLE_TELEMETRY": "true",
}

ASK = """
import json, pathlib, sys
import mlflow, sqlalchemy
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory

package = pathlib.Path(mlflow.__file__).parent
said = {}
for name, address, migrations, table in json.loads(sys.argv[1]):
    with sqlalchemy.create_engine(address).connect() as connection:
        tables = sqlalchemy.inspect(connection).get_table_names()
        context = MigrationContext.configure(connection, opts={"version_table": table})
        found = sorted(context.get_current_heads())
    wanted = sorted(ScriptDirectory(str(package / migrations)).get_heads())
    empty = all(table.startswith("alembic_") for table in tables)
    said[name] = {"empty": empty, "found": found, "wanted": wanted}
print(json.dumps(said))
"""
"""Run by the environment's Python, which has alembic and the release's own migrations."""


class SchemaError(RuntimeError):
    """The database cannot be brought to the release; says why, and what to do."""


def run(*argv: str, seconds: int, into: int = subprocess.PIPE) -> str:
    """Run a program as the server's account and return what it printed.

    Raises:
        SchemaError: it failed, or took longer than that and was killed; with what it said.
    """
    try:
        process = subprocess.Popen(
            argv, stdin=subprocess.DEVNULL, stdout=into, stderr=subprocess.PIPE, text=True, cwd="/", env=ENVIRONMENT,
            user=USER, group=USER, extra_groups=[], start_new_session=True, close_fds=False,
        )  # fmt: skip
    except (OSError, LookupError) as error:
        raise SchemaError(f"{argv[0]}: {error}") from error
    try:
        out, err = process.communicate(timeout=seconds)
    except subprocess.TimeoutExpired as error:
        os.killpg(process.pid, signal.SIGKILL)
        raise SchemaError(f"{' '.join(argv[:3])}: not done after {seconds} s") from error
    if process.returncode != 0:
        raise SchemaError(f"{' '.join(argv[:3])}: {(err or out or '').strip()[-2000:]}")
    return out or ""


def behind(environment: Path, databases: dict[str, str]) -> list[str]:
    """Return in words which databases have tables, and not those of the release.

    Raises:
        SchemaError: one of them, or the environment, does not answer.
    """
    asked = (
        ("tracking", databases["tracking"], "store/db_migrations", "alembic_version"),
        ("accounts", databases["accounts"], "server/auth/db/migrations", "alembic_version_auth"),
    )
    text = run(str(environment / "bin" / "python"), "-c", ASK, json.dumps(asked), seconds=ASK_SECONDS)
    return [
        f"{name} {'+'.join(one['found']) or 'without a version'} instead of {'+'.join(one['wanted'])}"
        for name, one in json.loads(text.splitlines()[-1]).items()
        if not one["empty"] and one["found"] != one["wanted"]
    ]


def copy(folder: Path, databases: dict[str, str]) -> list[Path]:
    """Copy the databases into files that only root reads, and return them; a copy is there whole or not at all.

    Raises:
        SchemaError: there is no room for it, or the database does not answer.
    """
    now = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime())
    made = []
    for name, address in databases.items():
        part = folder / f"{name}-{now}.part"
        part.touch(mode=0o600)
        with part.open("wb") as file:
            libpq = f"postgresql:{address.partition(':')[2]}"  # which knows the address without SQLAlchemy's driver
            run("pg_dump", "--format=custom", f"--dbname={libpq}", seconds=WORK_SECONDS, into=file.fileno())
            os.fsync(file.fileno())
        made.append(part.rename(part.with_suffix(".dump")))
    return made


def upgrade(environment: Path, databases: dict[str, str], folder: Path) -> list[str]:
    """Copy the databases, bring the tracking server's to the release, and return the copies.

    Raises:
        SchemaError: another run is at it, or a step failed; nothing is changed without a copy.
    """
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    with alone(folder):
        for part in folder.glob("*.part"):
            part.unlink()
        made = copy(folder, databases)
        for name in databases:
            for old in sorted(folder.glob(f"{name}-*.dump"))[:-KEPT]:
                old.unlink()
        try:
            run(str(environment / "bin" / "mlflow"), "db", "upgrade", databases["tracking"], seconds=WORK_SECONDS)
        except SchemaError as error:
            raise SchemaError(f"{error} — the databases as they were: {', '.join(map(str, made))}") from error
    return [str(path) for path in made]


@contextmanager
def alone(folder: Path) -> Iterator[None]:
    """Keep others from the same work. What is started meanwhile has the lock too: it may outlive a run that is killed.

    Raises:
        SchemaError: another one is at it.
    """
    path = folder / ".lock"
    with path.open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise SchemaError(
                f"an earlier run still copies or changes the database (`fuser -v {path}`) — let it end, and run again"
            ) from error
        os.set_inheritable(lock.fileno(), True)  # noqa: FBT003  it takes no keyword
        yield


def main() -> None:
    """Run as an Ansible module."""
    module = AnsibleModule(
        argument_spec={
            "database": {"type": "str", "required": True},
            "accounts_database": {"type": "str", "required": True},
            "environment": {"type": "path", "default": "/opt/platform/mlflow"},
            "copies": {"type": "path", "default": "/var/backups/mlflow"},
        },
        supports_check_mode=True,
    )
    parameters = module.params
    environment = Path(parameters["environment"])
    databases = {"tracking": parameters["database"], "accounts": parameters["accounts_database"]}
    if any(urlsplit(address).password for address in databases.values()):
        module.fail_json(msg="a password in a database's address is seen by everybody — use peer authentication")
    found: list[str] = []
    copies: list[str] = []
    try:
        if (environment / "bin" / "mlflow").exists():  # a dry run may come before it
            found = behind(environment, databases)
        if found and not module.check_mode:
            copies = upgrade(environment, databases, Path(parameters["copies"]))
    except (SchemaError, OSError) as error:
        module.fail_json(msg=str(error), behind=found)
    text = "".join(f"{line}\n" for line in found)
    module.exit_json(
        changed=bool(found), behind=found, copies=copies, diff={"before": text, "after": ""} if found else {}
    )


if __name__ == "__main__":
    main()
