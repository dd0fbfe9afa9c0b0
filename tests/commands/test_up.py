"""`platform-iac up` asks the policies first: what they refuse touches nothing."""

from __future__ import annotations

import dataclasses
import json
import shutil
import subprocess
from pathlib import Path

import pytest

from platform_iac import cli
from platform_iac.checks import training
from platform_iac.checks.remote import Remote
from platform_iac.commands import running, up
from platform_iac.commands.errors import CommandError
from platform_iac.plan.make import make
from platform_iac.spec.load import STACKS, load


@pytest.fixture
def spec(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The spec of falcon in a repository of its own, whose one commit is what runs. The engine must not be asked."""
    folder = tmp_path / "stacks"
    folder.mkdir()
    for path in STACKS.glob("*falcon*"):
        shutil.copy(path, folder)
    who = ("-c", "user.name=t", "-c", "user.email=t@example.net")
    for argv in (("init", "-q"), ("add", "."), (*who, "commit", "-q", "-m", "first")):
        subprocess.run(["git", *argv], cwd=folder, check=True, timeout=30)
    monkeypatch.setattr(running, "commit", lambda stack: "HEAD")
    return folder / "falcon.yaml"


@pytest.fixture
def begun(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What `up` gives to the engine, which this replaces."""
    asked: list[str] = []

    def select(stack: str) -> None:
        asked.append(stack)
        raise up.EngineError("the engine begins here")

    monkeypatch.setattr(up, "select", select)
    return asked


def test_a_plan_that_breaks_a_mandatory_rule_is_refused(
    spec: Path, begun: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    spec.write_text(spec.read_text() + "\nscheduler: {memory_reserved_gib: 0}\n")
    assert cli.run(["up", str(spec)]) == 1
    said = capsys.readouterr().out
    assert "mandatory slurm-headroom" in said
    assert "nothing was touched" in said
    assert begun == []


def test_a_change_that_drains_many_nodes_needs_a_named_approval_of_that_change(
    spec: Path, begun: list[str], capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    spec.write_text(spec.read_text().replace("gpu[001-031]", "gpu[001-026]"))
    assert cli.run(["up", str(spec)]) == 1
    said = capsys.readouterr().out
    assert "would drain 5 hosts (gpu[027-031]), 4 are allowed" in said
    assert begun == []
    approvals = tmp_path / "approvals"
    approvals.mkdir()
    monkeypatch.setattr("policies.config.approvals.__defaults__", (approvals,))
    digest = said.split("the change ")[1].split()[0]
    (approvals / "falcon.json").write_text(json.dumps([{"change": digest, "by": "Ada", "why": "sold"}]))
    with pytest.raises(up.EngineError, match="begins here"):
        cli.run(["up", str(spec)])
    assert begun == [str(spec)]
    assert "the change since HEAD too; none refuses" in capsys.readouterr().out


def test_where_no_commit_is_known_to_run_that_is_said(
    spec: Path, begun: list[str], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(running, "commit", lambda stack: None)
    spec.write_text(spec.read_text().replace("gpu[001-031]", "gpu[001-026]"))
    with pytest.raises(up.EngineError, match="begins here"):
        cli.run(["up", str(spec)])
    assert "no change, as no commit is known to run" in capsys.readouterr().out


def test_a_training_job_that_fails_is_told_in_words_and_one_that_has_no_place_is_left_out(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def run(*_: object) -> None:
        raise training.TrainingError("job 4 was not done after 600 s")

    monkeypatch.setattr(training, "run", run)
    monkeypatch.setattr("platform_iac.commands.train.reach", lambda stack, plan: Remote("ssh_config"))
    said: list[str] = []
    plan = make(load("lab"))
    assert not up._trained(plan, Remote("ssh_config"), said.append)
    assert said[-1] == "the training job failed: job 4 was not done after 600 s"
    with pytest.raises(CommandError, match="job 4 was not done") as failed:
        cli.run(["train", "lab"])
    assert failed.value.status == 1
    few = dataclasses.replace(plan, hosts=tuple(host for host in plan.hosts if host.name not in ("gpu02", "gpu03")))
    assert up._trained(few, Remote("ssh_config"), said.append)
    assert said[-1].startswith("no training job: the training job needs 2 compute hosts")
