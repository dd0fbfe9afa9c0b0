"""Hosts and disks that leave a cluster that lives on: nothing is lost, and nothing of them stays in the maps."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace

import pytest

from platform_iac.checks.remote import Remote
from platform_iac.checks.run import judge
from platform_iac.plan.make import make
from platform_iac.spec.load import loads
from tests.roles.ceph.conftest import LATER, WIDER, wait
from tests.twin_support.ansible import play
from tests.twin_support.machines import Lab

pytestmark = [pytest.mark.twin, pytest.mark.timeout(1900)]

FOLDER = "/datasets/vision/alice/kept"
SUMS = f"cd {FOLDER} && sha256sum --check --quiet --strict sums && ls | wc -l"
WRITE = f"""
set -e
install -d -o alice -m 0755 {FOLDER}
cd {FOLDER}
for number in $(seq 30); do head -c 2M /dev/urandom > $number; done
sha256sum * > sums
sync -f .
"""


@pytest.fixture(scope="module")
def filled(lab: Lab) -> Iterator[Lab]:
    """The cluster of three hosts with files in it, read by a client that did not write them."""
    if lab.run("login01", "mountpoint /datasets").rc != 0:
        for name in ("ceph_cluster", "ceph_client"):
            play(lab, name).ok()
    lab.ok("login01", WRITE, timeout=300)
    lab.ok("login02", SUMS)
    yield lab


def osds(lab: Lab, host: str, *, ask: str) -> list[int]:
    """Return the numbers of the OSDs that the cluster knows on a host."""
    nodes = json.loads(lab.ok(ask, "ceph osd tree --format json"))["nodes"]
    return [child for node in nodes if node["name"] == host for child in node["children"]]


def clean(lab: Lab, *, ask: str = "stor02") -> bool:
    states = json.loads(lab.ok(ask, "ceph status --format json"))["pgmap"]["pgs_by_state"]
    return all(state["state_name"].startswith("active+clean") for state in states)


def in_use(lab: Lab) -> int:
    return int(json.loads(lab.ok("stor02", "ceph osd stat --format json"))["num_in_osds"])


def whole(lab: Lab) -> None:
    """Every byte is there, read by a client that has nothing of it in memory."""
    lab.ok("login02", "sync; echo 3 > /proc/sys/vm/drop_caches; systemctl restart ceph-mount-datasets.service")
    assert lab.ok("login02", SUMS).strip() == "31"


def test_a_host_that_the_others_cannot_do_without_stays_as_it_is(filled: Lab) -> None:
    units = "systemctl list-units --plain --no-legend --state=active 'ceph-*@*.service' | cut -d' ' -f1"
    before = filled.ok("stor03", units)
    refused = play(filled, "ceph_cluster", moment="teardown", hosts=("stor03",))
    assert refused.rc != 0
    assert "keeps 3 copies on different hosts, and without stor03 2 are up" in refused.output
    assert filled.ok("stor03", units) == before
    assert "ceph-osd@" in before
    assert in_use(filled) == 3
    whole(filled)


def test_a_disk_that_is_replaced_gets_its_copies_again(filled: Lab) -> None:
    (number,) = osds(filled, "stor03", ask="stor01")
    disk = filled.ok("stor03", f"readlink -f /var/lib/ceph/osd/ceph-{number}/block").strip()
    # The platform may start it although systemd, after so many starts in half an hour, would not.
    filled.ok("stor03", f"for i in 1 2 3; do systemctl restart ceph-osd@{number} || break; done", timeout=120)
    # As the cluster does itself after ten minutes.
    filled.ok("stor03", f"systemctl kill --signal=KILL ceph-osd@{number}; rm {disk}; ceph osd out {number}")
    done = play(filled, "ceph_cluster").ok()
    assert f"make an OSD on {disk}" in done.output
    assert osds(filled, "stor03", ask="stor01") == [number]
    wait("every object has its copies", lambda: clean(filled))
    assert in_use(filled) == 3
    whole(filled)


def test_the_first_host_leaves_and_every_byte_stays(filled: Lab) -> None:
    """It has a monitor and a manager, and declared what is there. Its first run ends before the disk is blank."""
    wider, later = (replace(filled, plan=make(loads(spec))) for spec in (WIDER, LATER))
    play(wider, "ceph_cluster").ok()
    (number,) = osds(wider, "stor01", ask="stor02")
    disks = "/var/lib/platform-iac/ceph"
    wider.ok("stor01", f"mount --bind {disks} {disks} && mount -o remount,bind,ro {disks}")
    stopped = play(wider, "ceph_cluster", moment="teardown", hosts=("stor01",))
    assert "Read-only file system" in stopped.output, stopped.output
    assert not osds(wider, "stor01", ask="stor02")
    wider.ok("stor01", f"umount {disks}")
    play(wider, "ceph_cluster", moment="teardown", hosts=("stor01",)).ok()
    assert wider.run("stor01", "test -e /var/lib/ceph -o -e /var/lib/platform-iac/ceph").rc != 0
    play(later, "ceph_cluster").ok()
    play(later, "ceph_client").ok()
    said = later.ok("stor02", "ceph osd tree; ceph osd dump; ceph mon dump; ceph auth ls")
    assert not [line for line in said.splitlines() if "stor01" in line or line.startswith(f"osd.{number} ")], said
    checks = [
        check for check in later.plan.checks if "ceph" in f"{check.name} {check.argv}" or "/datasets" in check.name
    ]
    remote = Remote(str(later.ssh_config))
    results = [judge(check, remote) for check in checks]
    assert not [f"{result.check.name}: {result.reason}" for result in results if not result.passed]
    whole(later)
