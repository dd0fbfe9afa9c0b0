"""`platform-iac review` in a clone of this checkout: base from git, head from the working tree."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

import pytest

from tests.twin_support.machines import Done, call

TOP = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def clone(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A repository with this tree as its only commit."""
    folder = tmp_path_factory.mktemp("review") / "clone"
    for part in ("platform_iac", "policies", "roles", "stacks", "examples"):
        unrelated = shutil.ignore_patterns("__pycache__", "Pulumi.*.yaml")
        shutil.copytree(TOP / part, folder / part, ignore=unrelated)
    who = ["-c", "user.name=test", "-c", "user.email=test@example.net"]
    for arguments in (["init", "-q"], ["add", "-A"], [*who, "commit", "-q", "-m", "base"]):
        call(["git", *arguments], timeout=60, cwd=folder).ok()
    return folder


def review(clone: Path, *arguments: str) -> Done:
    return call([sys.executable, "-m", "platform_iac.cli", "review", *arguments], timeout=120, cwd=clone)


def test_an_edit_shows_hosts_and_lines(clone: Path, tmp_path: Path) -> None:
    spec = clone / "stacks" / "falcon.yaml"
    spec.write_text(spec.read_text().replace("gpu[001-031]", "gpu[001-030]"))
    done = review(clone, "falcon", "--base", "HEAD", "--out", str(tmp_path))
    assert done.rc == 0, done.text
    text = (tmp_path / "review.md").read_text()
    assert "1 host removed" in text
    assert "gpu[001-030]" in text
    assert '"version": "2.1.0"' in (tmp_path / "review.sarif").read_text()
    left = call(["git", "worktree", "list"], timeout=30, cwd=clone).ok()
    assert len(left.splitlines()) == 1, left


def test_a_policy_refuses_what_takes_many_hosts_away(clone: Path) -> None:
    spec = clone / "stacks" / "falcon.yaml"
    whole = spec.read_text()
    spec.write_text(whole.replace("gpu[001-030]", "gpu[001-009]"))
    done = review(clone, "falcon", "--base", "HEAD")
    spec.write_text(whole)
    assert done.rc == 1, done.text
    assert "refused by policy" in done.text
    assert "impact-drain" in done.text
    assert "22 hosts (gpu[010-031])" in done.text


def test_a_changed_template_shows_as_a_changed_file(clone: Path) -> None:
    template = clone / "roles" / "slurm_controller" / "templates" / "slurm.conf.j2"
    template.write_text(template.read_text() + "# one line more\n")
    done = review(clone, "falcon", "--base", "HEAD")
    assert "+# one line more" in done.ok()


def test_a_base_that_is_no_commit_is_told(clone: Path) -> None:
    done = review(clone, "falcon", "--base", "--upload-pack=/bin/false")
    assert done.rc == 2
    assert review(clone, "falcon", "--base", "nowhere").text.startswith("git rev-parse:")
