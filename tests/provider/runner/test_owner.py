"""A host belongs to one platform, and one run works on it: what is written on the host, and who is refused."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from platform_iac.provider import locks, reach
from platform_iac.provider.runner import owner, play
from platform_iac.provider.runner.play import Job


@pytest.fixture
def path(tmp_path: Path) -> str:
    return str(tmp_path / "platform-iac" / "owner.json")


def me(platform: str = "p1", role: str = "base", place: str = "ws1", **more: Any) -> dict[str, Any]:
    return {"platform": platform, "stack": "lab", "role": role, "place": place, "by": f"ops@{place}", **more}


def recorded(path: str) -> dict[str, Any]:
    return dict(json.loads(Path(path).read_text()))


def test_a_host_is_a_platform_s_from_its_first_role_to_the_teardown_of_its_last(path: str) -> None:
    assert owner.take(me(role="base"), path) == ""
    assert owner.take(me(role="munge"), path) == ""
    assert recorded(path)["roles"] == ["base", "munge"]
    owner.leave(me(role="munge"), path)
    refused = owner.take(me("p2"), path)
    assert refused.startswith("belongs to another platform: stack lab (p1), applied by ops@ws1, last at 20")
    owner.leave(me("p2"), path)
    assert recorded(path)["roles"] == ["base"]
    owner.leave(me(role="base"), path)
    assert not Path(path).parent.exists()
    assert owner.take(me("p2"), path) == ""


def test_a_role_is_recorded_without_its_site(path: str) -> None:
    owner.take(me(role="base@dc1"), path)
    owner.take(me(role="base"), path)
    assert recorded(path)["roles"] == ["base"]
    owner.leave(me(role="base"), path)
    assert not Path(path).exists()


def test_a_host_may_be_taken_over_when_that_is_asked_for(path: str) -> None:
    owner.take(me("p1", role="base"), path)
    assert owner.take(me("p2", role="munge", over=True), path) == ""
    assert (recorded(path)["platform"], recorded(path)["roles"]) == ("p2", ["munge"])


def test_another_place_waits_while_the_connection_of_a_run_lives(path: str, monkeypatch: pytest.MonkeyPatch) -> None:
    pid, _, started = owner._stat(os.getpid()) or ("", 0, "")
    del pid
    monkeypatch.setattr(owner, "connection", lambda: f"{os.getpid()} {started}")
    owner.take(me(role="base"), path)
    said = owner.take(me(role="munge", place="ws2"), path)
    assert said.startswith("ops@ws1 is at work here since 20")
    assert said.endswith("(role base) — wait for that run to end")
    assert owner.take(me(role="munge"), path) == "", "the locks of one place keep its runs apart"
    monkeypatch.setattr(owner, "MOST_SECONDS", 0)
    assert owner.take(me(role="munge", place="ws2"), path) == ""


def test_a_run_whose_connection_is_gone_holds_nothing(path: str, monkeypatch: pytest.MonkeyPatch) -> None:
    with subprocess.Popen(["sleep", "60"]) as sleeping:
        _, _, started = owner._stat(sleeping.pid) or ("", 0, "")
        monkeypatch.setattr(owner, "connection", lambda: f"{sleeping.pid} {started}")
        owner.take(me(), path)
        assert owner.take(me(place="ws2"), path) != ""
        sleeping.kill()
    assert owner.take(me(place="ws2"), path) == ""


def test_a_process_below_no_sshd_has_no_connection() -> None:
    code = "from platform_iac.provider.runner import owner; print(repr(owner.connection()))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "''"


def test_the_command_runs_on_a_host_without_anything_of_ours(path: str) -> None:
    command = owner.command("take", me("p1")).replace(owner.PATH, path)
    for expected in (0, 1):
        done = subprocess.run(
            ["sh", "-c", command], capture_output=True, text=True, check=False, env={"PATH": os.defpath}
        )
        assert done.returncode == expected, done.stderr
        command = owner.command("take", me("p2")).replace(owner.PATH, path)
    assert done.stderr.startswith("belongs to another platform: stack lab (p1)")


def test_only_a_role_of_a_platform_takes_its_hosts(tmp_path: Path) -> None:
    inputs = {"role": "base", "hosts": {"n1": {}, "n2": {}}, "sshConfig": "local"}

    def names(job: Job) -> list[str]:
        return [task["name"] for task in json.loads(play.playbook(job))[0]["tasks"]]

    assert names(Job(inputs, ("n1",))) == ["Role base"]
    assert names(Job(inputs, ("n1",), me=me())) == ["Take the host", "Role base"]
    assert names(Job(inputs, ("n1",), me=me(), teardown=True)) == ["Take the host", "Role base", "Leave the host"]
    job = Job(inputs, ("n1", "n2"), me=me(), over=("n2",), again={"n1": ("a.mount",)})
    assert names(job)[-1] == "Start again what ran with other settings"
    targets = {name: reach.target(name, {}, "local") for name in ("n1", "n2")}
    every = json.loads(play.inventory(job, targets, tmp_path))["all"]
    assert '"over": true' in every["hosts"]["n2"][play.TAKE]["__ansible_unsafe"]
    assert play.TAKE not in every["hosts"]["n1"]
    assert '"over"' not in every["vars"][play.TAKE]["__ansible_unsafe"].rpartition(" take ")[2]
    assert every["hosts"]["n1"][play.AGAIN] == {"a.mount": {"restart_on": [play.AGAIN]}}


def test_a_place_is_known_by_the_same_id_for_ever(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    first = locks.place()
    assert locks.place() == first
    assert len(first["place"]) == 32
    assert "@" in first["by"]
    assert [found.name for found in (tmp_path / "platform-iac").iterdir()] == ["place"]
