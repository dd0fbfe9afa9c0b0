"""What a preview shows of work on hosts: line by line from the spec, and from Ansible itself when asked."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.twin import logins
from tests.twin.acceptance.conftest import TEST_SECONDS
from tests.twin.specs import Overlay
from tests.twin.stack import Stack

pytestmark = [pytest.mark.twin, pytest.mark.timeout(TEST_SECONDS)]


@pytest.fixture
def shorter(running: Stack, spec: Overlay) -> Iterator[Stack]:
    """The stack with a shorter time limit in its spec, which is one word of one line of slurm.conf."""
    spec.set(scheduler={"partitions": {"gpu": {"max_time": "6-00:00:00"}}})
    yield running
    spec.set(scheduler={"partitions": {"gpu": {"max_time": "7-00:00:00"}}})


def changed(output: str) -> set[str]:
    """Return the words that differ in the lines that a diff in `output` takes away and adds."""
    lines = [line.strip() for line in output.splitlines()]
    before = {word for line in lines if line.startswith("-") for word in line.split()}
    after = {word for line in lines if line.startswith("+") for word in line.split()}
    return before ^ after


def test_a_changed_line_shows_line_by_line_and_no_host_is_asked(shorter: Stack) -> None:
    moment = logins.now()
    output = shorter.run("preview", "--diff").ok().output
    assert {"MaxTime=7-00:00:00", "MaxTime=6-00:00:00"} <= changed(output), output
    assert "/etc/slurm/slurm.conf" in output
    assert logins.since(shorter.lab, shorter.hosts, moment) == {}


def test_a_preview_that_asks_the_hosts_shows_what_ansible_would_do_and_does_nothing(shorter: Stack) -> None:
    shorter.run("config", "set", "platform:check", "true").ok()
    moment = logins.now()
    try:
        output = shorter.run("preview").ok().output
    finally:
        shorter.run("config", "rm", "platform:check").ok()
    assert {"MaxTime=7-00:00:00", "MaxTime=6-00:00:00"} <= changed(output), output
    assert set(logins.since(shorter.lab, shorter.hosts, moment)) == {"ctl01", "login01"}
    assert "MaxTime=7-00:00:00" in shorter.ok("ctl01", "cat /etc/slurm/slurm.conf")


def test_with_the_spec_as_it_was_there_is_nothing_to_do(running: Stack) -> None:
    running.nothing_to_do()
