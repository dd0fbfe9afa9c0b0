"""The real Ansible on this computer: what a run does, says and leaves."""

from __future__ import annotations

import threading
import time
from pathlib import Path
from typing import Any

import pytest

from platform_iac.provider.runner import private, run
from platform_iac.provider.runner.play import Job
from tests.provider.conftest import file

pytestmark = pytest.mark.engine  # needs no CLI, but seconds for each run: not for the fast tests
TEMPLATE_LIKE = "{{ lookup('pipe', 'id') }} {% raw %}\n"


@pytest.fixture
def log(private_state: Path) -> list[tuple[str, str]]:
    return []


def test_one_host_fails_and_the_other_is_done_then_all_is_as_planned(
    inputs: dict[str, Any], tmp_path: Path, log: list[tuple[str, str]]
) -> None:
    inputs["files"] = {str(tmp_path / "common"): file(TEMPLATE_LIKE, "0640")}
    secret = tmp_path / "one" / "db.conf"
    inputs["hosts"]["one"]["files"][str(secret)] = file("password=@@secret/db@@\n", "0600")
    (tmp_path / "two.broken").touch()
    outcomes = run.run(Job(inputs, ("one", "two")), lambda *line: log.append(line), threading.Event())
    assert not outcomes["one"].reason
    assert outcomes["two"].reason == f"Stumble: {tmp_path / 'two.broken'} is in the way"
    assert (tmp_path / "common").read_text() == TEMPLATE_LIKE
    assert secret.read_text() == f"password={inputs['secrets']['db']}\n"
    assert ("info", "changed on one: Write the files") in log
    assert any("+password=@@secret/db@@" in text for severity, text in log if severity == "debug")
    assert inputs["secrets"]["db"] not in str(log)
    assert not list(private.home().glob("r-*"))

    again = run.run(Job(inputs, ("one",), check=True), lambda *_: None, threading.Event())
    assert not again["one"].reason
    assert again["one"].changed == 0


def test_what_is_no_longer_planned_is_removed_before_the_role_runs(
    inputs: dict[str, Any], tmp_path: Path, log: list[tuple[str, str]]
) -> None:
    old = tmp_path / "old" / "old.conf"
    old.parent.mkdir()
    (tmp_path / "stays").touch()
    old.write_text("x\n")
    stale = {"one": {"files": {str(old): file("x\n")}}}
    outcomes = run.run(Job(inputs, ("one",), stale=stale), lambda *line: log.append(line), threading.Event())
    assert not outcomes["one"].reason
    assert not old.parent.exists()


def test_a_file_whose_secret_is_gone_too_is_removed(
    inputs: dict[str, Any], tmp_path: Path, log: list[tuple[str, str]]
) -> None:
    old = tmp_path / "old" / "keyring"
    old.parent.mkdir()
    (tmp_path / "stays").touch()
    old.write_text("key = canary-of-bob\n")
    stale = {"one": {"files": {str(old): file("key = @@secret/bob@@\n", "0600")}}}
    outcomes = run.run(Job(inputs, ("one",), stale=stale), lambda *line: log.append(line), threading.Event())
    assert not outcomes["one"].reason
    assert not old.parent.exists()
    assert "canary-of-bob" not in str(log)


def test_a_former_secret_is_not_said_although_everybody_may_read_it(
    inputs: dict[str, Any], tmp_path: Path, log: list[tuple[str, str]]
) -> None:
    path = next(Path(path) for path in inputs["hosts"]["one"]["files"])
    path.parent.mkdir()
    path.write_text("colour=canary-of-old\n")
    path.chmod(0o644)
    job = Job(inputs, ("one",), check=True, former={"db": "canary-of-old"})
    assert not run.run(job, lambda *line: log.append(line), threading.Event())["one"].reason
    assert any("-colour=@@secret/db@@" in text for _, text in log)
    assert "canary-of-old" not in str(log)


def test_cancelling_kills_ansible_at_once(inputs: dict[str, Any], tmp_path: Path, log: list[tuple[str, str]]) -> None:
    gate, cancelled = tmp_path / "gate", threading.Event()
    gate.touch()
    inputs["vars"]["wait_for"] = str(gate)

    def cancel() -> None:
        while not (tmp_path / "runs").exists():
            time.sleep(0.05)
        cancelled.set()

    canceller = threading.Thread(target=cancel, daemon=True)
    canceller.start()
    outcomes = run.run(Job(inputs, ("one", "two")), lambda *line: log.append(line), cancelled)
    canceller.join(30)
    assert {outcome.reason for outcome in outcomes.values()} == {"stopped before it was done"}
    assert not list(private.home().glob("r-*"))


def test_a_role_that_cannot_be_read_fails_on_every_host(inputs: dict[str, Any], log: list[tuple[str, str]]) -> None:
    outcomes = run.run(
        Job(inputs | {"role": "nothing"}, ("one", "two")), lambda *line: log.append(line), threading.Event()
    )
    assert "'nothing' was not found" in outcomes["one"].reason
    assert "'nothing' was not found" in outcomes["two"].reason
