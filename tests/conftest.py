"""What all tests share: where they may run, in what order, and which of them must stay together."""

from __future__ import annotations

from collections import defaultdict

import pytest

from tests.twin_support.machines import available

STAGES = ("engine", "twin")
"""Marks by what they need: tests without either come first, so that a mistake shows in seconds."""


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Refuse to run tests of machines where there can be none; order the others, those that share machines as one."""
    wanted = [item for item in items if item.get_closest_marker("twin")]
    expression = config.getoption("markexpr", "")
    if wanted and "not twin" not in expression and not config.getoption("collectonly") and not available():
        message = "tests marked `twin` need root and systemd-nspawn — run `make test-fast`, or `platform-iac doctor`"
        raise pytest.UsageError(message)
    limits: dict[str, float] = defaultdict(float)
    for item in items:
        limits[_group(item)] = max(limits[_group(item)], _limit(item))
    # Of two workers none should begin with the longest when the other has ended: a test's own limit says how long.
    items.sort(key=lambda item: (_stage(item), -limits[_group(item)] if _stage(item) else 0))
    for item in items:
        if _stage(item):
            item.add_marker(pytest.mark.xdist_group(_group(item)))


def _stage(item: pytest.Item) -> int:
    """Return 0 for a fast test, 1 for one of the engine, 2 for one of the twin."""
    return max((place for place, mark in enumerate(STAGES, 1) if item.get_closest_marker(mark)), default=0)


def _group(item: pytest.Item) -> str:
    """Return whose machines a test shares: its module's, or its folder's where that has a conftest of its own."""
    folder = item.path.parent
    return str(folder if (folder / "conftest.py").exists() else item.path)


def _limit(item: pytest.Item) -> float:
    """Return the seconds that a test gives itself, 0 for one that keeps to the suite's limit."""
    mark = item.get_closest_marker("timeout")
    return float(mark.args[0]) if mark and mark.args else 0.0
