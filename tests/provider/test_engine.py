"""The provider under the real CLI: what a user sees, and what survives when somebody pulls the plug."""

from __future__ import annotations

import copy
import shutil
from pathlib import Path
from typing import Any

import pytest

from platform_iac.provider.runner import private
from tests.provider.conftest import file, untouched
from tests.provider.project import Project, kill, processes, wait_for

pytestmark = pytest.mark.engine


SITES = """\
import json
from pathlib import Path
import pulumi
from platform_iac.components.resources import Identity, Role
spec = json.loads((Path(__file__).parent / "spec.json").read_text())
first = Identity("p", spec["home"])
for name, (inputs, formers) in spec["roles"].items():
    aliases = [pulumi.Alias(name=former) for former in formers]
    Role(name, {**inputs, "secrets": {}}, opts=pulumi.ResourceOptions(depends_on=[first], aliases=aliases))
"""


@pytest.fixture
def project(private_state: Path) -> Project:
    if shutil.which("pulumi") is None:
        pytest.fail("the Pulumi CLI is not on PATH — `source tools/env.sh`")
    folder = private_state / "project"
    folder.mkdir()
    made = Project(folder)
    made.make()
    return made


@pytest.fixture
def role(inputs: dict[str, Any]) -> dict[str, Any]:
    """The Role of these tests, without the secrets that the program adds."""
    del inputs["secrets"]
    return inputs


def test_the_whole_life_of_a_role(project: Project, role: dict[str, Any], tmp_path: Path, runs: Any) -> None:
    path = tmp_path / "two" / "etc.conf"
    secret = tmp_path / "one" / "db.conf"
    role["hosts"]["one"]["files"][str(secret)] = file("password=@@secret/db@@\n", "0600")
    project.write({"role": role})
    assert "3 to create" in project.preview()
    project.up()
    assert runs() == ["one", "two"]
    password = secret.read_text().strip().removeprefix("password=")
    assert len(password) == 32

    project.preview("--expect-no-changes")
    assert "3 unchanged" in project.up()
    assert runs() == []

    news = copy.deepcopy(role)
    news["hosts"]["two"]["files"][str(path)]["content"] = "colour=green\nsize=1\n"
    project.write({"role": news})
    shown = project.preview("--diff")
    assert "- colour=red" in shown
    assert "+ colour=green" in shown
    project.up()
    assert runs() == ["two"]

    path.write_text("colour=blue\nsize=1\n")
    secret.chmod(0o644)
    said = project.run("refresh", "--yes", "--stack", "test", "--diff")
    assert "-colour=green\n" in said or "colour=blue" in said
    changed = "-colour=green\n+colour=blue\n size=1"
    drift = project.outputs("role")["drift"]
    told = {host: {thing: untouched(said) for thing, said in things.items()} for host, things in drift.items()}
    assert told == {
        "one": {f"file {secret}": "mode 0644 instead of 0600"},
        "two": {f"file {path}": f"content differs\n--- planned\n+++ found\n@@ -1,2 +1,2 @@\n{changed}"},
    }
    assert "drift" in project.preview("--diff")
    project.up()
    assert runs() == ["one", "two"]
    assert path.read_text() == "colour=green\nsize=1\n"
    project.preview("--expect-no-changes")

    everything = project.run("stack", "export", "--stack", "test") + shown + said
    assert password not in everything
    project.run("destroy", "--yes", "--stack", "test")
    assert not path.exists()
    assert not secret.exists()


def test_a_failed_host_stops_what_needs_it_and_is_all_that_is_tried_again(
    project: Project, role: dict[str, Any], tmp_path: Path, runs: Any
) -> None:
    obstacle = tmp_path / "two.broken"
    obstacle.touch()
    project.write({"role": role})
    assert f"two: Stumble: {obstacle} is in the way" in project.up(fails=True)
    assert runs() == ["one", "two"]
    assert "1 to update" in project.preview()
    obstacle.unlink()
    project.up()
    assert runs() == ["two"]
    project.preview("--expect-no-changes")


def test_a_preview_with_check_shows_what_ansible_would_do_and_changes_nothing(
    project: Project, role: dict[str, Any], tmp_path: Path
) -> None:
    project.write({"role": role})
    project.up()
    news = copy.deepcopy(role)
    path = tmp_path / "two" / "etc.conf"
    news["hosts"]["two"]["files"][str(path)]["content"] = "colour=green\n"
    project.write({"role": news})
    project.run("config", "set", "platform:check", "true", "--stack", "test")
    shown = project.preview()
    assert "-colour=red" in shown
    assert "+colour=green" in shown
    assert path.read_text() == "colour=red\n"


@pytest.mark.parametrize("victim", ["cli", "provider", "ansible"])
def test_after_a_kill_nothing_goes_on_and_the_next_up_finishes(
    project: Project, role: dict[str, Any], tmp_path: Path, victim: str
) -> None:
    gate, log = tmp_path / "gate", tmp_path / "runs"
    gate.touch()
    role["vars"]["wait_for"] = str(gate)
    project.write({"role": role})
    up = project.start_up()
    wait_for(log.exists)
    mark = str(project.folder)
    folder = run_folder(mark)
    assert folder.stat().st_mode & 0o077 == 0
    if victim == "cli":
        kill(up.pid)
    else:
        word = "platform_iac/provider" if victim == "provider" else "ansible-playbook"
        for pid in processes(mark, word, *(["PLATFORM_IAC_RUN"] if victim == "ansible" else [])):
            kill(pid)
    up.communicate(timeout=120)
    wait_for(lambda: not processes(mark, private.MARK), 120)
    wait_for(lambda: not folder.exists(), 120)
    gate.unlink()
    if victim == "cli":
        project.run("cancel", "--yes", "--stack", "test")
    said = project.up()
    assert "error" not in said.lower()
    assert project.outputs("role")["applied"].keys() == {"one", "two"}
    project.preview("--expect-no-changes")


def run_folder(mark: str) -> Path:
    """Return the folder of the run that a test's project has started."""
    (pid, *_) = processes(mark, private.MARK)
    entries = (Path("/proc") / str(pid) / "environ").read_text().split("\0")
    return Path(next(entry.partition("=")[2] for entry in entries if entry.startswith(f"{private.MARK}=")))


def test_another_first_site_is_refused_and_one_that_was_emptied_hands_its_names_on(
    project: Project, role: dict[str, Any], runs: Any
) -> None:
    near, far = (
        {**role, "site": site, "hosts": {host: role["hosts"][host]}} for site, host in (("a", "one"), ("b", "two"))
    )
    (project.folder / "__main__.py").write_text(SITES)
    both: dict[str, Any] = {
        "home": {"site": "a", "hosts": ["one"]},
        "roles": {"munge": (near, ["munge@a"]), "munge@b": (far, [])},
    }
    project.write(both)
    project.up()
    assert runs() == ["one", "two"]

    turned = {
        "home": {"site": "b", "hosts": ["two"]},
        "roles": {"munge": (far, ["munge@b"]), "munge@a": (near, []), "mirror@a": (near, [])},
    }
    project.write(turned)
    assert "write 'a' first in `sites`" in project.up(fails=True)
    assert runs() == []
    project.write(both)
    project.preview("--expect-no-changes")

    project.write({"home": {"site": "a", "hosts": []}, "roles": {"munge@b": (far, [])}})
    assert "1 deleted" in project.up()
    project.write({"home": {"site": "b", "hosts": ["two"]}, "roles": {"munge": (far, ["munge@b"])}})
    assert "deleted" not in project.up()
    assert runs() == []
    assert project.outputs("munge")["applied"].keys() == {"two"}
