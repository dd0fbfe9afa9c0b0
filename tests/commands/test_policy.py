"""`platform-iac policy`: what a pull request runs."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path

import pytest

from platform_iac import cli
from platform_iac.commands.errors import CommandError
from platform_iac.commands.policy import of, shown
from platform_iac.spec.load import STACKS, stacks


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    """A repository of specs with one commit; returns the spec `falcon` in it."""
    folder = tmp_path / "repository" / "stacks"
    folder.mkdir(parents=True)
    for path in STACKS.glob("*falcon*"):
        shutil.copy(path, folder)
    git(folder, "init", "--quiet", "--initial-branch=main")
    git(folder, "add", ".")
    git(folder, "-c", "user.name=t", "-c", "user.email=t@example.net", "commit", "--quiet", "-m", "first")
    return folder / "falcon.yaml"


def git(folder: Path, *argv: str) -> None:
    subprocess.run(["git", "-C", str(folder), *argv], check=True, timeout=30)


def change(spec: Path, old: str, new: str) -> None:
    text = spec.read_text()
    assert old in text
    spec.write_text(text.replace(old, new))


def approve(folder: Path, monkeypatch: pytest.MonkeyPatch, digest: str) -> None:
    approvals = folder / "approvals"
    approvals.mkdir()
    monkeypatch.setattr("policies.config.approvals.__defaults__", (approvals,))
    (approvals / "falcon.json").write_text(json.dumps([{"change": digest, "by": "Ada", "why": "sold"}]))


@pytest.mark.parametrize("stack", stacks())
def test_the_stacks_here_break_no_mandatory_rule(stack: str) -> None:
    refusing = [str(verdict) for verdict in of(stack).verdicts if verdict.refuses]
    assert not refusing


def test_a_bad_spec_is_refused_with_what_to_do(repository: Path, capsys: pytest.CaptureFixture[str]) -> None:
    change(repository, "\nteams:\n", "\nscheduler: {memory_reserved_gib: 0}\nteams:\n")
    assert cli.run(["policy", str(repository)]) == 1
    said = capsys.readouterr().out
    assert "mandatory slurm-headroom" in said
    assert "Raise `scheduler.memory_reserved_gib`." in said
    assert cli.run(["policy", str(repository), "--json"]) == 1
    report = json.loads(capsys.readouterr().out)
    assert report["refused"] is True
    assert {"kind": "violation", "rule": "slurm-headroom"}.items() <= report["verdicts"][0].items()


def test_a_change_that_takes_many_hosts_away_is_refused_until_it_is_approved(
    repository: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert not of(str(repository), base="main").refused
    change(repository, "gpu[001-031]", "gpu[001-026]")
    (found,) = [verdict for verdict in of(str(repository), base="main").verdicts if verdict.refuses]
    assert found.rule.id == "impact-drain"
    assert "would drain 5 hosts (gpu[027-031]), 4 are allowed: hosts leave the platform" in found.message
    digest = found.message.split()[2]
    approve(tmp_path, monkeypatch, digest)
    assert not of(str(repository), base="main").refused
    change(repository, "gpu[001-026]", "gpu[001-025]")
    assert of(str(repository), base="main").refused, "it was another change that was approved"


def test_a_stack_that_is_new_since_the_base_changes_nothing(repository: Path) -> None:
    new = repository.with_name("new.yaml")
    new.write_text("extends: falcon.yaml\n")
    assert not of(str(new), base="main").refused


def test_a_base_that_this_version_cannot_read_could_not_be_judged(repository: Path) -> None:
    good = repository.read_text()
    repository.write_text(good + "\ncolour: red\n")
    git(repository.parent, "-c", "user.name=t", "-c", "user.email=t@example.net", "commit", "--quiet", "-am", "bad")
    repository.write_text(good)
    said = [str(verdict) for verdict in of(str(repository), base="HEAD").verdicts if verdict.refuses]
    assert len(said) == 4
    assert all("could not judge: the change " in each for each in said)
    unread = "the spec of HEAD cannot be read by this version: falcon.yaml:"
    assert [each for each in said if unread not in each] == [], "no name of a folder that is gone"


def test_what_could_not_be_judged_is_let_through_by_name(
    repository: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    good = repository.read_text()
    repository.write_text(good + "\ncolour: red\n")
    git(repository.parent, "-c", "user.name=t", "-c", "user.email=t@example.net", "commit", "--quiet", "-am", "bad")
    repository.write_text(good)
    digest = of(str(repository), base="HEAD").verdicts[0].message.split()[2].rstrip(",")
    approve(tmp_path, monkeypatch, digest)
    found = of(str(repository), base="HEAD")
    assert not found.refused
    assert [used.rules for used in found.approved] == [
        ("impact-drain", "impact-reimage", "impact-replace", "impact-forbidden")
    ]
    repository.write_text(good.replace("gpu[001-031]", "gpu[001-030]"))
    assert of(str(repository), base="HEAD").refused, "another fix was approved"


def test_what_a_mandatory_rule_could_not_judge_fails_as_a_violation_does(
    repository: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "falcon.json").write_text(
        json.dumps({"rules": {"cost-capital": {"ceiling": 20_000_000, "because": "the budget"}}})
    )
    monkeypatch.setattr("policies.config.load.__defaults__", (tmp_path,))
    assert cli.run(["policy", str(repository)]) == 0
    base = repository.with_name("_falcon.yaml")
    change(base, "dgx-h100: 350000", "dgx-h100: 900000")
    assert cli.run(["policy", str(repository)]) == 1
    assert "mandatory cost-capital\n  stack: hosts and fabric cost 28," in capsys.readouterr().out
    change(base, "dgx-h100: 900000, ", "")
    assert cli.run(["policy", str(repository)]) == 1
    assert "could not judge: the spec states no price of dgx-h100" in capsys.readouterr().out


def test_what_kept_rules_from_saying_more_is_told(
    repository: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    changed = {
        "slurm-accounting": {"severity": "off", "because": "a trial"},
        "slurm-munge-file": {"severity": "advisory", "because": "a trial too"},
        "impact-reimage": {"hosts": 1, "because": "one is no harm"},
    }
    (tmp_path / "falcon.json").write_text(json.dumps({"rules": changed}))
    monkeypatch.setattr("policies.config.load.__defaults__", (tmp_path,))
    change(repository, "gpu[001-031]", "gpu[001-026]")
    approve(tmp_path, monkeypatch, of(str(repository), base="main").verdicts[0].message.split()[2])
    assert cli.run(["policy", str(repository), "--base", "main"]) == 0
    said = capsys.readouterr().out
    assert "Switched off for this stack\n  slurm-accounting  a trial\n" in said
    assert "  impact-reimage    hosts     0 → 1                 one is no harm\n" in said
    assert "  slurm-munge-file  severity  mandatory → advisory  a trial too\n" in said
    assert "  impact-drain  Ada  sold\n" in said
    cli.run(["policy", str(repository), "--base", "main", "--json"])
    report = json.loads(capsys.readouterr().out)
    assert report["off"] == [{"rule": "slurm-accounting", "because": "a trial"}]
    assert {"rule": "impact-reimage", "what": "hosts", "default": 0, "configured": 1, "because": "one is no harm"} in (
        report["changed"]
    )
    assert [{**each, "change": ""} for each in report["approved"]] == [
        {"change": "", "by": "Ada", "why": "sold", "rules": ["impact-drain"]}
    ]


@pytest.mark.parametrize("base", ["nowhere", "--output=/tmp/x", "HEAD:stacks"])
def test_what_is_no_revision_is_said_so(repository: Path, base: str) -> None:
    with pytest.raises(CommandError, match="name a revision of this repository"):
        of(str(repository), base=base)


def test_the_state_tells_how_old_a_secret_is(tmp_path: Path) -> None:
    state = tmp_path / "state.json"
    key = {"type": "platform:secret:Key", "urn": "urn:pulumi:x::y::platform:secret:Key::munge.key"}
    state.write_text(json.dumps({"deployment": {"resources": [{**key, "created": "2001-01-01T00:00:00Z"}]}}))
    (found,) = [verdict for verdict in of("falcon", state=state).verdicts if verdict.rule.id == "slurm-munge-age"]
    assert found.kind == "violation"
    assert "days old, more than 365" in found.message
    state.write_text("[]")
    with pytest.raises(CommandError, match="is no exported state"):
        of("falcon", state=state)


def test_a_setting_is_shown_in_one_line() -> None:
    assert [shown(value) for value in ("off", 5, ["é"], "a\nb", ["\u202e"])] == [
        "off", "5", '["é"]', '"a\\nb"', '["\\u202e"]'
    ]  # fmt: skip
