"""The module `mlflow_schema`: the databases are asked, copied, and brought along, whatever a run before left."""

from __future__ import annotations

import fcntl
import json
import os
import subprocess
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from tests.host_modules import load

ENVIRONMENT = Path("/opt/platform/mlflow")
DATABASES = {
    "tracking": "postgresql+psycopg2:///mlflow?host=/var/run/postgresql",
    "accounts": "postgresql+psycopg2:///mlflow_auth?host=/var/run/postgresql",
}
AT_HEAD = {"empty": False, "found": ["b"], "wanted": ["b"]}


@pytest.fixture
def module() -> ModuleType:
    return load("mlflow/library/mlflow_schema.py")


@pytest.fixture
def ran(module: ModuleType, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What was run, in order; every program answers well."""
    found: list[str] = []

    def run(*argv: str, seconds: int, into: int = -1) -> str:
        assert 0 < seconds < 24 * 3600
        found.append(" ".join([Path(argv[0]).name, *argv[1:]]))
        if into >= 0:
            os.write(into, b"PGDMP")
        return ""

    monkeypatch.setattr(module, "run", run)
    return found


@pytest.mark.parametrize(
    ("tracking", "behind"),
    [
        (AT_HEAD, []),
        ({"empty": True, "found": [], "wanted": ["b"]}, []),
        ({"empty": False, "found": ["a"], "wanted": ["b"]}, ["tracking a instead of b"]),
        ({"empty": False, "found": [], "wanted": ["b"]}, ["tracking without a version instead of b"]),
    ],
)
def test_only_tables_of_another_release_are_behind(
    module: ModuleType, monkeypatch: pytest.MonkeyPatch, tracking: dict[str, Any], behind: list[str]
) -> None:
    said = f"a warning\n{json.dumps({'tracking': tracking, 'accounts': AT_HEAD})}\n"
    monkeypatch.setattr(module, "run", lambda *argv, seconds: said)
    assert module.behind(ENVIRONMENT, DATABASES) == behind


def test_both_databases_are_copied_before_the_upgrade(module: ModuleType, tmp_path: Path, ran: list[str]) -> None:
    folder = tmp_path / "backups"
    made = module.upgrade(ENVIRONMENT, DATABASES, folder)
    assert ran == [
        "pg_dump --format=custom --dbname=postgresql:///mlflow?host=/var/run/postgresql",
        "pg_dump --format=custom --dbname=postgresql:///mlflow_auth?host=/var/run/postgresql",
        "mlflow db upgrade postgresql+psycopg2:///mlflow?host=/var/run/postgresql",
    ]
    assert folder.stat().st_mode & 0o777 == 0o700
    assert [Path(path).stat().st_mode & 0o777 for path in made] == [0o600, 0o600]
    assert [Path(path).read_bytes() for path in made] == [b"PGDMP", b"PGDMP"]


def test_the_newest_copies_stay_and_half_ones_go(module: ModuleType, tmp_path: Path, ran: list[str]) -> None:
    for day in (1, 2, 3, 4):
        (tmp_path / f"tracking-2026010{day}T000000Z.dump").touch()
    (tmp_path / "tracking-20260105T000000Z.part").touch()
    module.upgrade(ENVIRONMENT, DATABASES, tmp_path)
    kept = sorted(path.name for path in tmp_path.glob("tracking-*"))
    assert kept[:2] == ["tracking-20260103T000000Z.dump", "tracking-20260104T000000Z.dump"]
    assert len(kept) == 3


def test_without_a_copy_nothing_is_upgraded(
    module: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ran: list[str] = []

    def run(*argv: str, seconds: int, into: int = -1) -> str:
        ran.append(argv[0])
        raise module.SchemaError("pg_dump: No space left on device")

    monkeypatch.setattr(module, "run", run)
    with pytest.raises(module.SchemaError, match="No space left"):
        module.upgrade(ENVIRONMENT, DATABASES, tmp_path)
    assert ran == ["pg_dump"]
    assert not list(tmp_path.glob("*.dump"))


def test_a_failed_upgrade_says_where_the_copies_are(
    module: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def run(*argv: str, seconds: int, into: int = -1) -> str:
        if argv[0] != "pg_dump":
            raise module.SchemaError("mlflow db upgrade: Can't locate revision")
        return ""

    monkeypatch.setattr(module, "run", run)
    with pytest.raises(
        module.SchemaError, match=rf"locate revision — the databases as they were: {tmp_path}/tracking-"
    ):
        module.upgrade(ENVIRONMENT, DATABASES, tmp_path)


def test_what_a_killed_run_left_at_work_is_not_disturbed(module: ModuleType, tmp_path: Path, ran: list[str]) -> None:
    with module.alone(tmp_path):
        orphan = subprocess.Popen(["sleep", "60"], close_fds=False)
    try:
        with pytest.raises(module.SchemaError, match="an earlier run still copies or changes the database"):
            module.upgrade(ENVIRONMENT, DATABASES, tmp_path)
        assert ran == []
    finally:
        orphan.kill()
        orphan.wait(10)
    module.upgrade(ENVIRONMENT, DATABASES, tmp_path)
    with (tmp_path / ".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)


def test_what_hangs_is_killed_and_what_fails_is_told(module: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "USER", None)
    assert module.run("sh", "-c", "echo said", seconds=20) == "said\n"
    with pytest.raises(module.SchemaError, match="not done after 1 s"):
        module.run("sh", "-c", "sleep 60", seconds=1)
    with pytest.raises(module.SchemaError, match=r"sh -c .*: broken"):
        module.run("sh", "-c", "echo broken >&2; exit 3", seconds=20)
    with pytest.raises(module.SchemaError, match="no-such-program"):
        module.run("no-such-program", seconds=20)
