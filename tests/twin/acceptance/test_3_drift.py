"""Break things on five hosts at once; refresh names exactly them, and the next up mends them and no more."""

from __future__ import annotations

import re

import pytest

from tests.twin import logins
from tests.twin.acceptance.conftest import TEST_SECONDS, Platform
from tests.twin.stack import Drift, Stack, first_lines

pytestmark = [pytest.mark.twin, pytest.mark.timeout(TEST_SECONDS)]

BREAKS = {
    "ctl01": (
        "echo '# edited by hand' >> /etc/slurm/slurm.conf && "
        "scontrol update PartitionName=gpu MaxTime=60 && sacctmgr -i modify qos where name=long set priority=7"
    ),
    "login01": "chmod 0644 /etc/munge/munge.key && usermod --append --groups adm alice",
    "gpu01": "dpkg --remove --force-depends libpam-slurm-adopt",
    "gpu02": "systemctl stop slurmd.service",
    "gpu03": "touch /etc/default/slurmd",
}
MENDED = {
    "ctl01": (
        "! grep 'edited by hand' /etc/slurm/slurm.conf && scontrol show partition gpu | grep MaxTime=7-00:00:00 && "
        "sacctmgr -nP show qos long format=priority | grep -x 10"
    ),
    "login01": "test $(stat -c %a /etc/munge/munge.key) = 400 && ! id -nG alice | grep -w adm",
    "gpu01": "dpkg-query -W -f '${db:Status-Status}' libpam-slurm-adopt | grep -x installed",
    "gpu02": "systemctl is-active slurmd.service",
    "gpu03": (
        "started=$(systemctl show --property ActiveEnterTimestamp --value slurmd.service) && "
        'test $(stat -c %Y /etc/default/slurmd) -le $(date +%s -d "$started")'
    ),
}
FOUND = {
    "base": {"login01": {"user alice": "also in adm"}},
    "munge": {"login01": {"file /etc/munge/munge.key": "mode 0644 instead of 0400"}},
    "slurm_controller": {
        "ctl01": {
            "accounting qos long": "priority 7 instead of 10",
            "file /etc/slurm/slurm.conf": "content differs",
            "slurm partition gpu MaxTime": "runs with 01:00:00 instead of 7-00:00:00",
        }
    },
    "slurm_node": {
        "gpu01": {"package libpam-slurm-adopt": "not installed"},
        "gpu02": {"unit slurmd.service": "stopped"},
        "gpu03": {"unit slurmd.service": "started before /etc/default/slurmd was last written"},
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
    assert first_lines(drift) == FOUND
    edited = drift["slurm_controller"]["ctl01"]["file /etc/slurm/slurm.conf"]
    assert [line for line in edited.splitlines() if line.startswith(("+", "-"))][2:] == ["+# edited by hand"]


def test_a_change_is_told_with_its_time_and_who_was_logged_in(drift: Drift) -> None:
    for role, host, thing in (
        ("munge", "login01", "file /etc/munge/munge.key"),
        ("slurm_node", "gpu01", "package libpam-slurm-adopt"),
        ("slurm_node", "gpu02", "unit slurmd.service"),
    ):
        when = drift[role][host][thing].splitlines()[1]
        assert re.fullmatch(r"changed 20[-0-9]+ [:0-9]+ UTC; .*root was logged in from 10\.77\.0\.1 with key .*", when)


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
