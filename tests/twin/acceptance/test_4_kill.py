"""Pull the plug in the middle of an up, at several points; the next up finishes, or says what it needs first."""

from __future__ import annotations

import itertools
from collections.abc import Callable

import pytest

from tests.twin import processes
from tests.twin.acceptance.conftest import TEST_SECONDS, UP_SECONDS
from tests.twin.specs import Overlay
from tests.twin.stack import Stack, wait

pytestmark = [pytest.mark.twin, pytest.mark.timeout(TEST_SECONDS)]

PRIORITIES = itertools.count(200)


@pytest.fixture
def priority(running: Stack, spec: Overlay) -> int:
    """A new priority of a QoS in the spec: work for the controller, seen in the accounting database."""
    value = next(PRIORITIES)
    spec.set(scheduler={"qos": {"normal": {"priority": value}}})
    return value


def the_cli(stack: Stack, cli: int) -> list[int]:
    return [cli]


def the_provider(stack: Stack, cli: int) -> list[int]:
    return processes.find(stack.mark, processes.PROVIDER)


def ansible(stack: Stack, cli: int) -> list[int]:
    return processes.find(stack.mark, processes.ANSIBLE)


Which = Callable[[Stack, int], list[int]]


@pytest.mark.parametrize(
    ("at", "victim"),
    [
        pytest.param(the_provider, the_cli, id="the CLI as soon as it has a provider"),
        pytest.param(ansible, the_cli, id="the CLI while Ansible runs"),
        pytest.param(ansible, the_provider, id="the provider while Ansible runs"),
        pytest.param(ansible, ansible, id="ansible-playbook while it runs"),
    ],
)
def test_after_a_kill_the_next_up_finishes(running: Stack, priority: int, at: Which, victim: Which) -> None:
    up = running.start_up()
    wait(lambda: at(running, up.pid) or up.poll() is not None, 120, "the moment of the kill")
    processes.kill(victim(running, up.pid))
    output, _ = up.communicate(timeout=180)
    running.said.append(output)
    assert up.returncode != 0, output[-8000:]
    wait(lambda: not processes.find(running.mark, processes.ANSIBLE), 60, "Ansible's end after the kill")
    running.release().ok()
    running.up()
    running.nothing_to_do()
    assert running.ok("ctl01", "sacctmgr -nP show qos normal format=priority").strip() == str(priority)


def test_of_two_ups_at_once_one_is_refused_with_a_reason(running: Stack, priority: int) -> None:
    first = running.start_up()
    wait(lambda: the_provider(running, first.pid) or first.poll() is not None, 120, "an up at work")
    second = running.run("up", "--yes", "--skip-preview")
    assert second.rc != 0
    assert "locked" in second.output
    refused = running.release()
    assert refused.rc != 0
    assert "is in use by process" in refused.output
    output, _ = first.communicate(timeout=UP_SECONDS)
    assert first.returncode == 0, output[-8000:]
    running.nothing_to_do()


def test_nothing_is_left_of_the_runs_that_were_killed(running: Stack) -> None:
    assert not set(processes.find(running.mark)) - processes.of_lab(running.lab)
    assert not list((running.home / "tmp").glob("*ansible*"))
