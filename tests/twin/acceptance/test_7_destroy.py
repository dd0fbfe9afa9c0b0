"""The end: nothing of the platform is left on this computer."""

from __future__ import annotations

import pytest

from tests.twin import traces
from tests.twin.acceptance.conftest import TEST_SECONDS
from tests.twin.stack import Stack

pytestmark = [pytest.mark.twin, pytest.mark.timeout(TEST_SECONDS)]


def test_destroy_leaves_nothing(running: Stack) -> None:
    lab, state = running.lab, running.home / "state"
    assert traces.of_lab(lab)
    running.run("destroy", "--yes", "--skip-preview").ok()
    running.run("stack", "rm", "--yes").ok()
    assert traces.of_lab(lab) == []
    assert traces.of_state(state) == []
