"""A run that is told to stop, with the signals that CI runners send, frees its lock; the next one finishes."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from platform_iac.commands import pulumi
from platform_iac.commands.lock import locks
from platform_iac.provider.runner import private
from tests.provider.conftest import file
from tests.provider.project import Project, kill, processes, wait_for

pytestmark = [pytest.mark.engine, pytest.mark.timeout(300)]

UP = """\
import sys
from pathlib import Path
from platform_iac.commands.pulumi import pulumi
sys.exit(pulumi("up", "--yes", "--skip-preview", "--stack", "test", top=Path(sys.argv[1])))
"""
INTERRUPT_SECONDS, TERMINATE_SECONDS = 7.5, 2.5
"""What GitHub's runner waits after each signal before it sends the next one."""


def step(project: Project, *, through: str = "exec ") -> subprocess.Popen[bytes]:
    """Begin to apply as a runner does: a shell that runs the script of a step."""
    script = project.folder / "step.sh"
    script.write_text(f"{through}{sys.executable} -c '{UP}' {project.folder}\n")
    return subprocess.Popen(
        ["bash", "-e", str(script)],
        cwd=project.folder,
        env=project.environment,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )


def github(running: subprocess.Popen[bytes]) -> None:
    """Cancel as GitHub does: each signal goes to the step's first process alone, the kill to its whole tree."""
    for number, seconds in ((signal.SIGINT, INTERRUPT_SECONDS), (signal.SIGTERM, TERMINATE_SECONDS)):
        running.send_signal(number)
        try:
            running.wait(seconds)
        except subprocess.TimeoutExpired:
            continue
        return
    pytest.fail("GitHub would kill it now")


def gitlab(running: subprocess.Popen[bytes]) -> None:
    """Cancel as GitLab's shell executor does: SIGTERM to the process group, and 10 s later the kill."""
    os.killpg(running.pid, signal.SIGTERM)
    running.wait(10)


def terminal(running: subprocess.Popen[bytes]) -> None:
    """Type ^C: the whole foreground group is told."""
    os.killpg(running.pid, signal.SIGINT)
    running.wait(10)


def killed(running: subprocess.Popen[bytes]) -> None:
    """Kill the command without a warning, as a machine that lacks memory does; Pulumi itself survives it."""
    running.kill()
    running.wait(10)


@pytest.fixture
def project(private_state: Path) -> Project:
    folder = private_state / "project"
    folder.mkdir()
    made = Project(folder)
    made.make()
    return made


def test_whoever_stops_it_the_lock_is_free_and_the_next_up_finishes(
    project: Project, inputs: dict[str, Any], tmp_path: Path
) -> None:
    del inputs["secrets"]
    gate, log, mark = tmp_path / "gate", tmp_path / "runs", str(project.folder)
    gate.touch()
    inputs["vars"]["wait_for"] = str(gate)
    project.write({"role": inputs})
    ways: tuple[Callable[[subprocess.Popen[bytes]], None], ...] = (github, gitlab, terminal, killed)
    for way in ways:
        running = step(project)
        wait_for(log.exists)
        assert held(project), "it has a lock while it works"
        way(running)
        assert running.returncode != 0
        wait_for(lambda: not held(project), 10)
        wait_for(lambda: not processes(mark, private.MARK), 30)
        log.unlink()
    gate.unlink()
    project.up()
    assert project.outputs("role")["applied"].keys() == {"one", "two"}
    project.preview("--expect-no-changes")


def test_a_spec_that_goes_back_after_a_kill_is_applied_again(
    project: Project, inputs: dict[str, Any], tmp_path: Path, runs: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    del inputs["secrets"]
    project.write({"role": inputs})
    project.up()
    runs()
    gate, log, more = tmp_path / "gate", tmp_path / "runs", tmp_path / "more.conf"
    gate.touch()
    news = inputs | {"vars": {**inputs["vars"], "wait_for": str(gate)}, "files": {str(more): file("x\n")}}
    project.write({"role": news})
    running = project.start_up()
    wait_for(log.exists)
    kill(running.pid)
    running.communicate(timeout=120)
    wait_for(lambda: not processes(str(project.folder), private.MARK))
    more.write_text("x\n")
    runs()
    project.run("cancel", "--yes", "--stack", "test")

    captured, put = pulumi.captured, pulumi.put
    monkeypatch.setattr(pulumi, "captured", lambda *argv: captured(*argv, top=project.folder))
    monkeypatch.setattr(pulumi, "put", lambda stack, text: put(stack, text, top=project.folder))
    for name, value in project.environment.items():
        monkeypatch.setenv(name, value)
    pulumi._forget_begun("test")
    project.write({"role": inputs})
    project.up()
    assert runs() == ["one", "two"]
    assert not more.exists()
    project.preview("--expect-no-changes")


def held(project: Project) -> bool:
    """Whether anybody has the stack's lock."""
    return bool(locks(f"file://{project.folder / 'backend'}", "fixture", "test"))
