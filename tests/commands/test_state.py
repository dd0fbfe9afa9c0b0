"""Copies of a stack's state: kept around an `up`, refused where they do not follow, restored. With the real engine."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from platform_iac import cli
from platform_iac.commands import state
from platform_iac.commands.errors import CommandError
from platform_iac.commands.pulumi import EngineError
from platform_iac.provider.registry import handlers
from tests.provider import conftest
from tests.provider.project import Project

NOW = datetime(2026, 11, 26, 2, 31, tzinfo=UTC)


class Platform:
    """A project with one role on this computer, and its state's copies."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder / "project"
        self.folder.mkdir()
        self.project = Project(self.folder)
        self.project.make()
        self.conf, self.runs = folder / "etc" / "a.conf", folder / "runs"

    @property
    def file(self) -> Path:
        """The state in the backend."""
        return self.folder / "backend" / ".pulumi" / "stacks" / "fixture" / "test.json"

    def up(self, colour: str) -> int:
        role = {
            "role": "fixture",
            "digest": "d1",
            "files": {str(self.conf): conftest.file(f"colour={colour}\n")},
            "vars": {"log": str(self.runs), "broken": "/nowhere"},
            "hosts": {"one": {"address": "127.0.0.1", "vars": {}, "files": {}}},
            "sshConfig": "local",
        }
        self.project.write({"role": role})
        return state.apply("test", top=self.folder, project="fixture")

    def recorded(self) -> str:
        """The content of the role's file, as the state has it."""
        return str(self.project.outputs("role")["files"][str(self.conf)]["content"])

    def restore(self, name: str | None = None) -> None:
        state.restore("test", name, top=self.folder, project="fixture")


@pytest.fixture(scope="module")
def platform(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Platform]:
    """The project, and the environment of who works on it."""
    if shutil.which("pulumi") is None:
        pytest.fail("the Pulumi CLI is not on PATH — `source tools/env.sh`")
    folder = tmp_path_factory.mktemp("state")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_STATE_HOME", str(folder / "state"))
        patch.setenv("PLATFORM_IAC_ROLES", str(conftest.ROLES))
        made = Platform(folder)
        for name, value in made.project.environment.items():
            patch.setenv(name, value)
        patch.delenv("PULUMI_CONFIG_PASSPHRASE_FILE", raising=False)
        yield made


def refused(platform: Platform, colour: str = "blue") -> str:
    """Return why an `up` is refused, which must not have run a role."""
    before = platform.runs.read_text()
    with pytest.raises(EngineError) as error:
        platform.up(colour)
    assert platform.runs.read_text() == before
    return str(error.value)


@pytest.mark.engine
def test_an_up_is_between_two_private_copies_without_a_secret(platform: Platform) -> None:
    assert platform.up("red") == 0
    empty, first = state.backups("test")
    assert (empty.serial, first.serial) == (1, 2)
    assert "ciphertext" in first.read()
    password = json.loads(platform.project.run("stack", "export", "--show-secrets", "--stack", "test"))
    (value,) = [
        json.loads(found["outputs"]["value"]["plaintext"])
        for found in password["deployment"]["resources"]
        if found["type"] == "platform:secret:Key"
    ]
    assert len(value) == 32
    assert value not in first.read()
    assert first.path.stat().st_mode & 0o777 == 0o600
    assert first.path.parent.stat().st_mode & 0o777 == 0o700
    state.guard("test", top=platform.folder, project="fixture")
    assert state.backups("test") == [empty, first]


@pytest.mark.engine
def test_a_torn_state_is_refused_and_the_newest_copy_brings_it_back(platform: Platform) -> None:
    whole = platform.file.read_bytes()
    for torn in (whole[:900], b""):
        platform.file.write_bytes(torn)
        said = refused(platform)
        assert "the state of test cannot be read" in said
        assert "`platform-iac state restore test` brings back copy 000002 of " in said
    platform.restore()
    assert platform.recorded() == "colour=red\n"


@pytest.mark.engine
def test_an_older_state_is_refused_until_somebody_chooses_it(platform: Platform) -> None:
    old = platform.file.read_bytes()
    assert platform.up("green") == 0
    platform.file.write_bytes(old)
    assert "older than copy 0000" in refused(platform)
    platform.restore(state.backups("test")[-1].name)
    assert platform.recorded() == "colour=green\n"
    platform.restore("2")
    assert platform.recorded() == "colour=red\n"
    assert platform.up("green") == 0
    assert platform.conf.read_text() == "colour=green\n"


@pytest.mark.engine
def test_the_state_of_another_stack_and_another_passphrase_are_refused(
    platform: Platform, monkeypatch: pytest.MonkeyPatch
) -> None:
    own = platform.file.read_text()
    platform.file.write_text(own.replace("urn:pulumi:test::", "urn:pulumi:other::"))
    assert "the state of test is that of other in the project fixture" in refused(platform)
    platform.file.write_text(own)
    with monkeypatch.context() as patch:
        patch.setenv("PULUMI_CONFIG_PASSPHRASE", "not the one")
        assert "the secrets in the state of test cannot be decrypted; nothing was touched" in refused(platform)


@pytest.fixture
def kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of copies without an engine."""
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    monkeypatch.setenv("PULUMI_BACKEND_URL", "file:///nowhere")
    return state.folder("lab")


def written(moment: datetime, platform: str = "p1", created: datetime = NOW) -> dict[str, Any]:
    identity = {
        "urn": "urn:pulumi:lab::p::t::n",
        "type": state.IDENTITY,
        "id": platform,
        "created": f"{created:%FT%TZ}",
    }
    return {"deployment": {"manifest": {"time": f"{moment:%FT%T}.123456789Z"}, "resources": [identity]}}


def keep(monkeypatch: pytest.MonkeyPatch, what: dict[str, Any]) -> state.Backup:
    monkeypatch.setattr(state, "_export", lambda stack, top: json.dumps(what))
    return state.keep("lab")


def test_the_oldest_copies_go_and_a_broken_one_is_not_restored(kept: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for minute in range(state.KEPT + 3):
        newest = keep(monkeypatch, written(NOW + timedelta(minutes=minute)))
    assert [one.serial for one in state.backups("lab")] == list(range(4, state.KEPT + 4))
    newest.path.write_text(newest.path.read_text().replace("p1", "p2"))
    with pytest.raises(CommandError, match="its digest differs"):
        state.restore("lab", None)


def test_copies_are_listed_and_a_broken_one_stops_no_up(
    kept: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.run(["state", "list", "lab"]) == 0
    assert capsys.readouterr().out == "lab: no copy is kept here\n"
    first, second = keep(monkeypatch, written(NOW)), keep(monkeypatch, written(NOW + timedelta(minutes=1)))
    second.path.write_text("{}")
    assert cli.run(["state", "list", "lab"]) == 0
    assert capsys.readouterr().out == (
        f"lab: 2 copies in {kept}\n"
        f"  000001  2026-11-26 02:31:00 UTC  {first.digest}  1 resources\n"
        f"  000002  2026-11-26 02:32:00 UTC  {second.digest}  broken: not what was written\n"
    )
    monkeypatch.setattr(state, "_export", lambda stack, top: json.dumps(written(NOW + timedelta(minutes=2))))
    monkeypatch.setattr(state, "_of_this_stack", lambda *_: None)
    state.guard("lab")
    assert state.backups("lab")[-1].serial == 3
    with pytest.raises(CommandError, match="no copy 9 here"):
        state.restore("lab", "9")
    with pytest.raises(CommandError, match="--backup is for `state restore`"):
        cli.run(["state", "list", "lab", "--backup", "1"])


@pytest.mark.parametrize(
    ("after", "refusal"),
    [
        (written(NOW + timedelta(minutes=1)), ""),
        (written(NOW - timedelta(minutes=5)), ""),  # the other computer's clock is slow
        (written(NOW - timedelta(minutes=11)), "older than copy 000002"),
        (written(NOW - timedelta(minutes=2)), "older than copy 000002"),  # the very bytes of the first copy
        (written(NOW + timedelta(hours=1), "p2", NOW - timedelta(days=1)), r"that of another platform \(p2\)"),
        (written(NOW + timedelta(hours=1), "p2", NOW + timedelta(minutes=30)), ""),  # destroyed and made anew
        ({"deployment": {}}, "was it lost"),
        ({"deployment": {"manifest": {"time": "2026-11-26T02:40:00Z"}}}, ""),  # destroyed
    ],
)
def test_what_may_come_after_the_newest_copy(
    kept: Path, monkeypatch: pytest.MonkeyPatch, after: dict[str, Any], refusal: str
) -> None:
    keep(monkeypatch, written(NOW - timedelta(minutes=2)))
    keep(monkeypatch, written(NOW))
    monkeypatch.setattr(state, "_export", lambda stack, top: json.dumps(after))
    monkeypatch.setattr(state, "_of_this_stack", lambda *_: None)
    if not refusal:
        state.guard("lab")
        return
    with pytest.raises(EngineError, match=refusal):
        state.guard("lab")
    assert len(state.backups("lab")) == 2


def test_the_identity_that_copies_are_told_apart_by_is_the_provider_s() -> None:
    assert state.IDENTITY in handlers()
