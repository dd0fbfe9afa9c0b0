"""A platform whose first up was killed, and that nobody wants any more: its end needs no up before."""

from __future__ import annotations

import secrets

import pytest

from platform_iac.lab import cgroups
from tests.twin import cleanup, processes, traces
from tests.twin.acceptance.conftest import TEST_SECONDS
from tests.twin.specs import Overlay
from tests.twin.stack import Stack, wait

pytestmark = [pytest.mark.twin, pytest.mark.timeout(TEST_SECONDS)]


def test_destroy_after_a_killed_up_leaves_nothing(tmp_path_factory: pytest.TempPathFactory) -> None:
    name = f"torn-{secrets.token_hex(2)}"
    lab, home = f"{name}-lab", tmp_path_factory.mktemp(name)
    state = home / "state"
    with cleanup.of_lab(lab, state):
        stack = Stack(name, Overlay(home, name).path, home, lab, state / "platform-iac" / "labs" / lab / "ssh_config")
        up = stack.start_up()
        wait(lambda: cgroups.processes(lab, "gpu01") or up.poll() is not None, 300, "a machine that boots")
        processes.kill([up.pid, *processes.find(stack.mark, processes.PROVIDER)])
        output, _ = up.communicate(timeout=60)
        assert up.returncode == -9, output[-8000:]
        unrecorded = [pending for pending in stack.pending() if pending["type"] == "creating"]
        assert any("Machine" in pending["resource"]["type"] for pending in unrecorded)
        stack.release().ok()
        stack.run("destroy", "--yes", "--skip-preview").ok()
        assert traces.of_lab(lab) == []
        assert traces.of_state(state) == []
