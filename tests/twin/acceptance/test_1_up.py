"""From nothing to a platform: preview, up with the plug pulled midway, and an up that has nothing to do."""

from __future__ import annotations

import re
import sys
from dataclasses import replace

import pytest

from platform_iac import cli
from platform_iac.checks import run, storage
from platform_iac.checks.remote import Remote
from platform_iac.checks.storage_profiles import PROFILES
from platform_iac.commands import table
from tests.twin import logins, processes, traces
from tests.twin.acceptance.conftest import TEST_SECONDS, Platform
from tests.twin.specs import Overlay
from tests.twin.stack import Stack, wait

pytestmark = [pytest.mark.twin, pytest.mark.timeout(TEST_SECONDS)]


def test_the_first_preview_creates_everything_and_touches_nothing(platform: Platform) -> None:
    stack = platform.stack
    steps = stack.preview()
    assert {step["op"] for step in steps} == {"create"}
    names = {step["name"] for step in steps}
    assert {f"{stack.lab}-{host}" for host in stack.hosts} < names
    assert {planned.name for planned in stack.plan.runs} < names
    assert {secret.name for secret in stack.plan.secrets} < names
    assert not traces.of_lab(stack.lab)
    assert not traces.of_state(stack.home / "state")


def test_an_up_whose_command_line_was_killed_midway_names_its_lock_and_the_next_one_finishes(
    platform: Platform,
) -> None:
    stack = platform.stack
    up = stack.start_up()
    wait(lambda: processes.find(stack.mark, processes.ANSIBLE) or up.poll() is not None, 300, "Ansible at work")
    processes.kill([up.pid])
    output, _ = up.communicate(timeout=60)
    assert up.returncode == -9, output[-8000:]
    stack.said.append(output)
    at_work = f"{processes.ANSIBLE} without an engine to end"
    wait(lambda: not processes.find(stack.mark, processes.ANSIBLE), 60, at_work)
    assert {"creating"} == {operation["type"] for operation in stack.pending()}
    refused = stack.run("up", "--yes", "--skip-preview")
    assert refused.rc != 0
    assert "pulumi cancel" in refused.output
    released = stack.release().ok()
    assert "died and left its lock" in released.output
    assert stack.pending() == [], "what was begun is warned of for ever"
    platform.up()


def test_a_preview_then_shows_no_change(running: Stack) -> None:
    running.nothing_to_do()


def test_an_up_with_nothing_to_do_logs_in_to_no_host(running: Stack) -> None:
    moment = logins.now()
    running.up()
    assert logins.since(running.lab, running.hosts, moment) == {}


def test_a_refresh_finds_nothing_amiss(running: Stack) -> None:
    assert running.refresh() == {}
    running.nothing_to_do()


def test_every_check_of_the_plan_passes(running: Stack) -> None:
    results = run.run(running.plan, Remote(str(running.ssh_config)))
    failed = [f"{result.check.host}: {result.check.name}: {result.reason}" for result in results if not result.passed]
    assert not failed, "\n".join(failed)
    assert len(results) == len(running.plan.checks)


def test_the_cables_of_its_fabric_are_where_the_plan_has_them(
    running: Stack, spec: Overlay, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    fabric = running.plan.fabric
    assert fabric is not None
    every = len(fabric.cables)
    monkeypatch.setenv("XDG_STATE_HOME", str(running.home / "state"))
    assert cli.run(["check", "fabric", str(spec.path)]) == 0
    assert f"{every} of {every} cables are where they belong" in capsys.readouterr().out


def test_a_jobs_output_is_where_its_owner_expects_it(running: Stack) -> None:
    remote = Remote(str(running.ssh_config))
    script = "hostname; touch /datasets/vision/alice/seen"
    argv = ["sbatch", "--wait", "--time=2", "--output=where.out", f"--wrap={script}"]
    done = remote("login01", argv, user="alice", timeout_seconds=180)
    assert done.rc == 0, done.said
    said = remote("login01", ["cat", "where.out", "/datasets/vision/alice/seen"], user="alice")
    assert said.rc == 0, said.said
    assert said.out.startswith("gpu"), said.said


def test_storage_is_measured_by_jobs_and_judged_by_the_floors_of_the_spec(running: Stack) -> None:
    (store,) = running.plan.stores
    impossible = replace(store, floors={**store.floors, "read_iops_per_node": 1e9})
    (result,) = storage.run(
        replace(running.plan, stores=(impossible,)), Remote(str(running.ssh_config)), sys.stdout.write
    )
    sys.stdout.write(table.storage(result))
    assert [len(figure.nodes) for figure in result.figures] == [store.nodes] * len(PROFILES)
    missed = {figure.profile.figure: figure.misses for figure in result.figures if figure.misses}
    assert list(missed) == ["read_iops"], missed
    assert re.fullmatch(r"gpu0\d has [\d,]+ IOPS of 1,000,000,000", *missed["read_iops"])
    assert not result.passed
    assert running.ok("login01", "find /home/alice -name '.storage-check-*'") == ""


def test_artifacts_of_mlflow_lie_in_the_object_store(running: Stack) -> None:
    program = "import mlflow as m; m.set_experiment('of-s3'); m.start_run(); m.log_text('forty-two', 'proof.txt')"
    argv = ["bash", "-c", 'exec "$PLATFORM_PYTHON" -c "$1"', "python", program]
    done = Remote(str(running.ssh_config))("login01", argv, user="alice", timeout_seconds=180)
    assert done.rc == 0, done.said
    assert "proof.txt" in running.ok("stor01", "radosgw-admin bucket list --bucket=mlflow")
