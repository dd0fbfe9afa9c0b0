"""Break four things on four hosts at once; refresh names exactly them, and the next up mends them and no more."""

from __future__ import annotations

import pytest

from tests.twin import logins
from tests.twin.acceptance.conftest import TEST_SECONDS, Platform
from tests.twin.stack import Drift, Stack

pytestmark = [pytest.mark.twin, pytest.mark.timeout(TEST_SECONDS)]

BREAKS = {
    "ctl01": "echo '# edited by hand' >> /etc/slurm/slurm.conf",
    "login01": "chmod 0644 /etc/munge/munge.key",
    "gpu01": "dpkg --remove --force-depends libpam-slurm-adopt",
    "gpu02": "systemctl stop slurmd.service",
}
MENDED = {
    "ctl01": "! grep 'edited by hand' /etc/slurm/slurm.conf",
    "login01": "test $(stat -c %a /etc/munge/munge.key) = 400",
    "gpu01": "dpkg-query -W -f '${db:Status-Status}' libpam-slurm-adopt | grep -x installed",
    "gpu02": "systemctl is-active slurmd.service",
}
FOUND = {
    "munge": {"login01": {"file /etc/munge/munge.key": "mode 0644 instead of 0400"}},
    "slurm_controller": {"ctl01": {"file /etc/slurm/slurm.conf": "content differs"}},
    "slurm_node": {
        "gpu01": {"package libpam-slurm-adopt": "not installed"},
        "gpu02": {"unit slurmd.service": "stopped"},
    },
}


@pytest.fixture(scope="module")
def drift(platform: Platform) -> Drift:
    """What a refresh says after the breaks."""
    platform.up()
    for host, command in BREAKS.items():
        platform.stack.ok(host, command)
    return platform.stack.refresh()


def test_refresh_names_exactly_these_hosts_and_things(drift: Drift) -> None:
    first_lines = {
        name: {
            host: {thing: sentence.splitlines()[0] for thing, sentence in things.items()}
            for host, things in hosts.items()
        }
        for name, hosts in drift.items()
    }
    assert first_lines == FOUND
    edited = drift["slurm_controller"]["ctl01"]["file /etc/slurm/slurm.conf"]
    assert [line for line in edited.splitlines() if line.startswith(("+", "-"))][2:] == ["+# edited by hand"]


def test_preview_lists_exactly_the_roles_concerned(running: Stack, drift: Drift) -> None:
    assert running.changes() == dict.fromkeys(drift, "update")


def test_up_mends_it_and_runs_only_on_the_hosts_that_drifted(running: Stack, drift: Drift) -> None:
    moment = logins.now()
    running.up()
    seen = logins.since(running.lab, running.hosts, moment)
    assert set(seen) == {host for hosts in drift.values() for host in hosts}
    for host, command in MENDED.items():
        running.ok(host, command)


def test_then_nothing_differs_any_more(running: Stack) -> None:
    assert running.refresh() == {}
    running.nothing_to_do()
