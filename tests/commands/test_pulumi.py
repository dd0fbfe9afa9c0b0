"""What `platform-iac up` does about a run that died; a double stands in for Pulumi's command line."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

from platform_iac.commands import pulumi

DOUBLE = """#!/bin/sh
echo "$*" >> "$PULUMI_DOUBLE/asked"
case "$1 $2" in
"stack export") cat "$PULUMI_DOUBLE/state.json" ;;
"stack import") cat > "$PULUMI_DOUBLE/imported.json" ;;
"cancel --yes") sleep 0.5; rm -f "$PULUMI_DOUBLE"/backend/.pulumi/locks/organization/*/t/* ;;
esac
"""
DEAD = 4_194_305  # above the kernel's largest process id


@pytest.fixture
def double(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of a Pulumi whose stack `t` is held by a process that is no more."""
    (tmp_path / "pulumi").write_text(DOUBLE)
    (tmp_path / "pulumi").chmod(0o755)
    locks = tmp_path / "backend" / ".pulumi" / "locks" / "organization" / pulumi.PROJECT / "t"
    locks.mkdir(parents=True)
    lock = {"pid": DEAD, "username": "ops", "hostname": socket.gethostname()}
    (locks / "lock.json").write_text(json.dumps(lock))
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    monkeypatch.setenv("PULUMI_DOUBLE", str(tmp_path))
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("PULUMI_BACKEND_URL", f"file://{tmp_path / 'backend'}")
    return tmp_path


def begun(*operations: tuple[str, str]) -> str:
    pending = [{"type": kind, "resource": {"type": type_}} for kind, type_ in operations]
    return json.dumps({"version": 3, "deployment": {"pending_operations": pending}})


def test_a_dead_run_s_lock_is_released_and_what_it_began_is_forgotten(double: Path) -> None:
    (double / "state.json").write_text(begun(("creating", "platform:lab:Machine"), ("creating", "aws:ec2/instance")))
    pulumi.select("t")
    assert any(line.startswith("cancel ") for line in (double / "asked").read_text().splitlines())
    assert json.loads((double / "imported.json").read_text()) == json.loads(begun(("creating", "aws:ec2/instance")))


def test_of_two_that_meet_a_dead_lock_one_cancels(double: Path) -> None:
    (double / "state.json").write_text(begun())
    argv = [sys.executable, "-c", "from platform_iac.commands import pulumi; pulumi.select('t')"]
    assert [run.wait(timeout=60) for run in [subprocess.Popen(argv) for _ in range(2)]] == [0, 0]
    asked = (double / "asked").read_text().splitlines()
    assert len([line for line in asked if line.startswith("cancel ")]) == 1


def test_a_state_in_which_nothing_was_begun_is_left_alone(double: Path) -> None:
    (double / "state.json").write_text(begun(("updating", "aws:ec2/instance")))
    pulumi.select("t")
    assert not (double / "imported.json").exists()


def test_a_role_whose_update_died_runs_again_on_all_its_hosts(double: Path) -> None:
    role, inputs = {"type": "platform:ansible:Role"}, {"files": {"/etc/b": {"content": "b"}}, "secrets": {"sig": "x"}}
    outputs = {"applied": {"one": "d", "two": "d"}, "failed": {}}
    state = {
        "version": 3,
        "deployment": {
            "resources": [
                {**role, "urn": "urn::munge", "outputs": outputs},
                {**role, "urn": "urn::base", "outputs": {}},
            ],
            "pending_operations": [
                {"type": "updating", "resource": {**role, "urn": "urn::munge", "inputs": inputs}},
                {"type": "updating", "resource": {"type": "aws:ec2/instance", "urn": "urn::i"}},
            ],
        },
    }
    (double / "state.json").write_text(json.dumps(state))
    pulumi.select("t")
    imported = json.loads((double / "imported.json").read_text())["deployment"]
    munge, base = (resource["outputs"] for resource in imported["resources"])
    assert munge["applied"] == {"one": "", "two": ""}, "who has something of it stays known"
    assert munge["begun"] == {"files": inputs["files"]}
    assert base == {}
    assert [operation["resource"]["urn"] for operation in imported["pending_operations"]] == ["urn::i"]


def test_a_lock_of_another_computer_is_not_touched(double: Path) -> None:
    lock = next((double / "backend").rglob("lock.json"))
    lock.write_text(json.dumps({"pid": DEAD, "username": "ops", "hostname": "elsewhere"}))
    long_ago = time.time() - 3 * 3600
    os.utime(lock, (long_ago, long_ago))
    said = f"the stack t is in use by process {DEAD} of ops@elsewhere, 3 h ago — .*`pulumi cancel --yes --stack t`"
    with pytest.raises(pulumi.EngineError, match=said):
        pulumi.select("t")
    assert "cancel" not in (double / "asked").read_text()
