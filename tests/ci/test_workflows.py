"""The workflow files themselves: what the forges' schemas and an auditor say, and what each job may."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

TOP = Path(__file__).resolve().parents[2]
FILES = sorted((TOP / ".github" / "workflows").glob("*.yml"))
TEXT = {path.stem: path.read_text(encoding="utf-8") for path in FILES}
JOBS = [
    pytest.param(name, spec, id=f"{name} {job}")
    for name, text in TEXT.items()
    for job, spec in yaml.safe_load(text)["jobs"].items()
]
SAME_REPOSITORY = "github.event.pull_request.head.repo.full_name == github.repository"


def lint(folder: Path) -> subprocess.CompletedProcess[str]:
    """Judge the workflows of a tree as `make check` does."""
    argv = [str(TOP / "tools" / "check"), "--workflows"]
    env = {"PATH": f"{TOP / '.venv' / 'bin'}:/usr/bin:/bin", "WORKFLOWS": str(folder)}
    return subprocess.run(argv, env=env, capture_output=True, text=True, timeout=120, check=False)


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """A copy of the workflows that a test may spoil."""
    (tmp_path / ".github" / "workflows").mkdir(parents=True)
    for path in FILES:
        (tmp_path / ".github" / "workflows" / path.name).write_text(path.read_text())
    (tmp_path / ".gitlab-ci.yml").write_text((TOP / ".gitlab-ci.yml").read_text())
    return tmp_path


@pytest.mark.engine
def test_the_forges_own_schemas_and_the_auditor_accept_them(tree: Path) -> None:
    done = lint(tree)
    assert done.returncode == 0, done.stdout + done.stderr


SPOILED = (
    (".gitlab-ci.yml", "stage: twin", "stag: twin", "stag"),
    (".github/workflows/merge.yml", "runs-on:", "run-on:", "run-on"),
    (".github/workflows/nightly.yml", "@3d3c42e5aac5ba805825da76410c181273ba90b1", "@v7", "unpinned-uses"),
    (".github/workflows/release.yml", "run: make audit", "run: make ${{ github.head_ref }}", "template-injection"),
    (".github/workflows/pull-request.yml", "pull_request:\n", "pull_request_target:\n", "dangerous-triggers"),
)


@pytest.mark.engine
def test_each_spoiled_one_is_refused(tree: Path) -> None:
    for file, old, new, _ in SPOILED:
        path = tree / file
        assert old in path.read_text()
        path.write_text(path.read_text().replace(old, new, 1))
    done = lint(tree)
    assert done.returncode == 1
    for file, _, _, said in SPOILED:
        assert said in done.stdout + done.stderr, file


@pytest.mark.parametrize(("workflow", "job"), JOBS)
def test_a_job_is_bounded_and_says_what_it_may(workflow: str, job: dict[str, Any]) -> None:
    assert 0 < job["timeout-minutes"] <= 240
    assert job["permissions"]["contents"] in ("read", "write")
    for step in job["steps"]:
        if step.get("uses", "").startswith("actions/checkout@"):
            assert step["with"]["persist-credentials"] is False
    writes = [name for name, what in job["permissions"].items() if what == "write"]
    if workflow == "pull-request" and (writes or "vars." in str(job["runs-on"])):
        assert SAME_REPOSITORY in job["if"], "a fork gets neither a token that writes nor one of our machines"
    if "secrets." in str(job):
        assert job["environment"], "secrets belong to an environment, with its reviewers"


def test_each_workflow_begins_with_no_permission_and_waits_for_its_like() -> None:
    for name, text in TEXT.items():
        spec = yaml.safe_load(text)
        assert spec["permissions"] == {}, name
        assert spec["concurrency"], name


def test_a_pull_request_has_no_secret() -> None:
    assert "secrets." not in TEXT["pull-request"]
    assert "pull_request_target" not in "".join(TEXT.values())


def test_every_action_is_a_commit_and_one_version_of_each() -> None:
    used = re.findall(r"uses: (\S+)@(\S+)(?: # (v[0-9.]+))?$", "\n".join(TEXT.values()), re.MULTILINE)
    assert len(used) > 10
    assert all(re.fullmatch(r"[0-9a-f]{40}", commit) and version for _, commit, version in used)
    assert len(set(used)) == len({action for action, _, _ in used})


def test_what_reaches_hosts_takes_the_place_of_its_shell() -> None:
    """A cancelled run tells only the first process of a step, and bash tells nobody."""
    gitlab = (TOP / ".gitlab-ci.yml").read_text(encoding="utf-8")
    for verb in ("promote", "drift"):
        for text in (TEXT["merge"] + TEXT["nightly"], gitlab):
            assert re.search(rf"^[- ]+exec tools/run --as-is platform-iac {verb} ", text, re.MULTILINE), verb
            assert not re.search(rf"(?<!exec )tools/run --as-is platform-iac {verb}", text)


def test_no_failure_of_another_job_keeps_a_proof_from_being_made() -> None:
    """GitLab runs a later stage only after a good earlier one, unless the job says otherwise."""
    gitlab = yaml.safe_load((TOP / ".gitlab-ci.yml").read_text(encoding="utf-8"))
    for job in ("twin", "drift"):
        assert gitlab[job]["needs"] == [], job
    assert gitlab["comment"]["rules"][-1]["when"] == "always"
    github = {name: yaml.safe_load(text)["jobs"] for name, text in TEXT.items()}
    assert "!cancelled()" in github["pull-request"]["twin"]["if"]
    assert "needs" not in github["nightly"]["drift"]


def test_a_step_that_reaches_the_forge_s_repository_has_a_token() -> None:
    """Checkouts keep no credentials, and a private repository is fetched with one too."""
    for job in (job for text in TEXT.values() for job in yaml.safe_load(text)["jobs"].values()):
        for step in (step for step in job["steps"] if re.search(r"\bevidence (--take|BRANCH)", step.get("run", ""))):
            helper, count = step["env"]["GIT_CONFIG_VALUE_0"], step["env"]["GIT_CONFIG_COUNT"]
            assert sum(name.startswith("GIT_CONFIG_KEY_") for name in step["env"]) == count
            assert step["env"]["GIT_CONFIG_KEY_0"] == "credential.helper"
            (token,) = re.findall(r"password=\$(\w+)", helper)
            assert step["env"][token] == "${{ github.token }}"


def test_both_forges_run_what_a_person_runs() -> None:
    targets = set(re.findall(r"^([a-z-]+):", (TOP / "Makefile").read_text(encoding="utf-8"), re.MULTILINE))
    for text in ("".join(TEXT.values()), (TOP / ".gitlab-ci.yml").read_text(encoding="utf-8")):
        used = set(re.findall(r"\bmake ([a-z-]+)", text))
        assert used == {"review", "check", "test-fast", "test-touched", "audit", "evidence", "release"}
        assert used <= targets
