"""What all tests share: where they may run, in what order, and which of them must stay together."""

from __future__ import annotations

import os
import secrets
from collections import defaultdict

import pytest
from _pytest.junitxml import xml_key

from platform_iac.promotion import release
from platform_iac.review.proof import PROPERTY
from platform_iac.spec.load import STACKS
from tests.twin import cleanup
from tests.twin_support.machines import available

RUN = "PLATFORM_IAC_TEST_RUN"
"""In the environment of everything that one run of the tests starts."""

STAGES = ("engine", "twin")
"""Marks by what they need: tests without either come first, so that a mistake shows in seconds."""

PATIENT = ("tests/roles/test_slurm.py", "tests/roles/test_infiniband.py")
"""Groups that wait more than they compute: they begin beside the longest, or both workers end with waiting."""


def pytest_configure() -> None:
    """Mark what this run starts; its workers inherit the mark."""
    os.environ.setdefault(RUN, secrets.token_hex(8))


def pytest_sessionstart(session: pytest.Session) -> None:
    """Write into a JUnit report what it is a report of, so that a review can tell an older one."""
    # Not by the fixture `record_testsuite_property`: that is of a worker, and the report is the controller's.
    if xml := session.config.stash.get(xml_key, None):
        xml.add_global_property(PROPERTY, release.digest(STACKS.parent))


def pytest_unconfigure(config: pytest.Config) -> None:
    """Remove the labs of workers that ended before their time."""
    if not hasattr(config, "workerinput") and (left := cleanup.of_run(f"{RUN}={os.environ[RUN]}")):
        print(f"removed what interrupted tests left: {', '.join(left)}")  # noqa: T201


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
    longest = max(limits.values(), default=0)
    limits |= dict.fromkeys(PATIENT, longest - 1)
    items.sort(key=lambda item: (_stage(item), -limits[_group(item)] if _stage(item) else 0))
    for item in items:
        if _stage(item):
            item.add_marker(pytest.mark.xdist_group(_group(item)))


def pytest_collection_finish(session: pytest.Session) -> None:
    """Refuse to go on where pytest-xdist does not see which tests belong together: each worker would make them all."""
    grouped = session.config.getoption("loadgroup", default=False)
    if grouped and any(item.get_closest_marker("xdist_group") and "@" not in item.nodeid for item in session.items):
        raise pytest.UsageError("this pytest-xdist keeps no tests together — take the versions of requirements.lock")


def _stage(item: pytest.Item) -> int:
    """Return 0 for a fast test, 1 for one of the engine, 2 for one of the twin."""
    return max((place for place, mark in enumerate(STAGES, 1) if item.get_closest_marker(mark)), default=0)


def _group(item: pytest.Item) -> str:
    """Return whose machines a test shares: its module's, or its folder's where that has a conftest of its own."""
    folder = item.path.parent
    shared = folder if (folder / "conftest.py").exists() else item.path
    return str(shared.relative_to(item.config.rootpath))


def _limit(item: pytest.Item) -> float:
    """Return the seconds that a test gives itself, 0 for one that keeps to the suite's limit."""
    mark = item.get_closest_marker("timeout")
    return float(mark.args[0]) if mark and mark.args else 0.0


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Say what tests measured (`record_property`): how long a loss stalled people, and the like."""
    lines = [
        f"{report.nodeid.rpartition('::')[2]}: {name} {value}"
        for report in terminalreporter.getreports("passed")
        for name, value in report.user_properties
        if report.when == "call"
    ]
    if lines:
        terminalreporter.section("measured")
        terminalreporter.write("".join(f"{line}\n" for line in lines))
