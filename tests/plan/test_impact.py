"""What a changed spec does to the hosts that run."""

from __future__ import annotations

import pytest

from bench.specs import onprem
from platform_iac.plan.impact import GRAVE, Touched, touched
from platform_iac.plan.make import make
from platform_iac.spec.load import loads

TEXT = onprem(12)


def between(*replacements: tuple[str, str], old: str = TEXT) -> Touched:
    new = old
    for before, after in replacements:
        assert before in new
        new = new.replace(before, after)
    specs = [loads(text) for text in (old, new)]
    return touched((specs[0], make(specs[0])), (specs[1], make(specs[1])))


def test_the_same_spec_touches_nothing() -> None:
    found = between()
    assert all(not found.hosts[impact] and not found.why[impact] for impact in GRAVE)


def test_hosts_that_leave_are_drained() -> None:
    found = between(("gpu[0001-0012]", "gpu[0001-0010]"))
    assert found.hosts["drain"] == ("gpu0011", "gpu0012")
    assert found.why["drain"] == ("hosts leave the platform",)


def test_hosts_that_come_touch_no_other() -> None:
    found = between(("gpu[0001-0012]", "gpu[0001-0020]"))
    assert not any(found.hosts.values())


def test_a_pool_that_begins_elsewhere_moves_every_host_of_it() -> None:
    found = between(("10.20.8.1,", "10.20.9.1,"))
    assert len(found.hosts["replace"]) == 12
    assert not found.hosts["drain"]


def test_a_host_that_moved_to_another_place_in_its_pool_is_another_machine() -> None:
    found = between(("gpu[0001-0012]", "gpu[0002-0012]"))
    assert found.hosts["drain"] == ("gpu0001",)
    assert len(found.hosts["replace"]) == 11


def test_another_duty_reimages() -> None:
    assert between(("duty: login, hosts: login01,", "duty: edge, hosts: login01,")).hosts["reimage"] == ("login01",)


def test_a_host_counts_once_under_its_gravest_and_every_reason_is_told() -> None:
    found = between(("duty: login, hosts: login01,", "duty: edge, hosts: login01, hardware: edge-box,"))
    assert {impact: hosts for impact, hosts in found.hosts.items() if hosts} == {"replace": ("login01",)}
    assert "pools.login.duty changed (reimage)" in found.why["reimage"]
    assert found.why["replace"] == ("pools.login.hardware.like changed (replace)",)


def test_an_account_with_another_number_is_forbidden() -> None:
    found = between(("20001", "20009"))
    assert found.why["forbidden"] == ("teams.vision.members.alice.uid changed (forbidden)",)


@pytest.mark.parametrize("other", ["gpu[0001-0009]", "gpu[0001-0011]"])
def test_another_change_has_another_digest_and_the_same_one_has_the_same(other: str) -> None:
    one = between(("gpu[0001-0012]", "gpu[0001-0010]"))
    assert one.digest == between(("gpu[0001-0012]", "gpu[0001-0010]")).digest
    assert one.digest != between(("gpu[0001-0012]", other)).digest
