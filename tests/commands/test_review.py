"""`platform-iac review` in a clone of this checkout: base from git, head from the working tree."""

from __future__ import annotations

import json
import re
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.twin_support.machines import Done, call

TOP = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def repository(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A repository with this tree as its only commit."""
    folder = tmp_path_factory.mktemp("review") / "clone"
    for part in ("platform_iac", "policies", "roles", "stacks", "examples"):
        unrelated = shutil.ignore_patterns("__pycache__", "Pulumi.*.yaml")
        shutil.copytree(TOP / part, folder / part, ignore=unrelated)
    call(["git", "init", "-q"], timeout=60, cwd=folder).ok()
    commit(folder)
    call(["git", "tag", "first"], timeout=60, cwd=folder).ok()
    return folder


@pytest.fixture
def clone(repository: Path) -> Iterator[Path]:
    """The repository, which is again as it was after each test."""
    yield repository
    for arguments in (["reset", "-q", "--hard", "first"], ["clean", "-fdq"]):
        call(["git", *arguments], timeout=60, cwd=repository).ok()


def commit(folder: Path) -> None:
    who = ["-c", "user.name=test", "-c", "user.email=test@example.net"]
    for arguments in (["add", "-A"], [*who, "commit", "-q", "-m", "base"]):
        call(["git", *arguments], timeout=60, cwd=folder).ok()


def edit(path: Path, old: str, new: str) -> None:
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new))


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
    edit(spec, "gpu[001-031]", "gpu[001-009]")
    done = review(clone, "falcon", "--base", "HEAD")
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


def test_a_broken_base_is_mended_by_a_change_and_other_stacks_are_judged_beside_it(clone: Path, tmp_path: Path) -> None:
    stacks, approvals = clone / "stacks", clone / "policies" / "approvals"
    dev, lab, staging = (stacks / f"{name}.yaml" for name in ("falcon-dev", "lab", "falcon-staging"))
    edit(dev, "environment: development", "environment: development\ncolour: red")  # no spec
    edit(lab, "hosts: svc01", 'hosts: "svc[01-02]"')  # a spec that cannot be planned
    commit(clone)
    edit(dev, "\ncolour: red", "")
    edit(lab, '"svc[01-02]"', "svc01")
    edit(staging, "  svc: {", '  svc: {hosts: "svc[01-02]", ')
    off = {"rules": {"slurm-accounting": {"severity": "off", "because": "nobody counts here"}}}
    (clone / "policies" / "config" / "roce.json").write_text(json.dumps(off))

    done = review(clone, "--base", "HEAD", "--out", str(tmp_path))
    assert done.rc == 1, done.text
    text = (tmp_path / "review.md").read_text()
    parts = {part.partition("`")[0]: part for part in text.split("## `")[1:]}
    assert "❌ not a spec that can be built" in parts["falcon-staging"]
    assert "needs exactly one host with `duty: services`" in parts["falcon-staging"]
    for name in ("falcon-dev", "lab"):
        assert "❌ refused by policy" in parts[name]
        assert "> The base does not plan (" in parts[name]
        assert "everything is shown as added." in parts[name]
        assert "hosts added" in parts[name]
        assert "could not judge: the change " in parts[name]
    assert "Gravest impact of the spec's changes: **not known**" in parts["falcon-dev"]
    assert "✅ no policy refuses it, ⚠️ rules are set otherwise" in parts["roce"]
    assert "| `mandatory` | `mandatory` | `off` | `nobody counts here` |" in parts["roce"]
    assert "/tmp/" not in text

    found = re.search(r"the change ([0-9a-f]{16}),", parts["falcon-dev"])
    assert found
    approvals.mkdir()
    consent = [{"change": found[1], "by": "Ada", "why": "main does not load"}]
    (approvals / "falcon-dev.json").write_text(json.dumps(consent))
    done = review(clone, "falcon-dev", "--base", "HEAD")
    assert done.rc == 0, done.text
    assert "✅ no policy refuses it, ⚠️ by an approval" in done.text
    assert f"| added | `{found[1]}` | `impact-drain`, `impact-reimage`," in done.text
    assert "| `Ada` | `main does not load` |" in done.text


def test_a_base_whose_settings_cannot_be_read_is_told(clone: Path) -> None:
    settings = clone / "policies" / "config" / "falcon.json"
    settings.write_text('{"rules": {"slurm-headroom": {"percent": 3}}}')
    commit(clone)
    settings.write_text('{"rules": {"slurm-headroom": {"percent": 3, "because": "it has swap"}}}')
    done = review(clone, "falcon", "--base", "HEAD")
    assert "> This version refuses the base's settings or approvals (`falcon.json: slurm-headroom: " in done.text
    assert "| ⚠️ | `slurm-headroom` | `percent` | `2` | `2` | `3` | `it has swap` |" in done.text
