"""What a changed spec does to the hosts that run."""

from __future__ import annotations

import pytest

from bench.specs import onprem
from platform_iac.plan.impact import GRAVE, Touched, touched, unread
from platform_iac.plan.make import make
from platform_iac.spec.load import loads, locate

TEXT = onprem(12)
HOME = "  home: {kind: nfs, mount: /home, purpose: home, network: management, served_by: {pool: stor, raid: raid10}}\n"
DATASETS = (
    "  datasets: {kind: nfs, mount: /datasets, purpose: datasets, network: management, "
    "server: {profile: netapp, addresses: [10.20.3.1], export: /datasets, capacity_gib: 1000}}\n"
)
SERVER = "  stor: {site: dc1, duty: storage, hosts: nvme01, addresses: 10.20.0.21, hardware: nvme-server}\n"
STORED = TEXT.replace("scheduler:", f"{SERVER}storage:\n{HOME}{DATASETS}scheduler:")
TWIN = locate("lab").read_text()
SETS = TWIN[TWIN.index("  data:\n") : TWIN.index("teams:\n")]
GPUS = tuple(f"gpu{number:04}" for number in range(1, 13))


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


def grave(found: Touched) -> dict[str, tuple[str, ...]]:
    return {impact: hosts for impact, hosts in found.hosts.items() if hosts}


SIMULATED = ("domain: dc1", "gpus: simulated\n    domain: dc1")


def test_an_approval_is_of_the_hosts_too() -> None:
    few, many = between(SIMULATED), between(SIMULATED, old=onprem(200))
    assert (len(few.hosts["reimage"]), len(many.hosts["reimage"])) == (16, 204)
    assert few.why == many.why
    assert few.digest != many.digest


def test_where_a_host_goes_is_part_of_its_digest() -> None:
    nearer, farther = between(("10.20.8.1,", "10.20.9.1,")), between(("10.20.8.1,", "10.20.10.1,"))
    assert nearer.hosts == farther.hosts
    assert nearer.digest != farther.digest
    reordered = [between(('"gpu[0001-0012]"', f'"gpu[{order}]"')) for order in ("0002-0012", "0003-0012,0002")]
    assert reordered[0].hosts == reordered[1].hosts
    assert reordered[0].digest != reordered[1].digest


@pytest.mark.parametrize(
    "beside",
    [
        ("name: large\n", "name: large\ndescription: other words\n"),
        ("alice: {uid: 20001}", "alice: {uid: 20001}, bob: {uid: 20002}"),
        ("mlflow: {kind: mlflow}", "mlflow: {kind: mlflow, port: 5001}"),
    ],
)
def test_what_no_gate_looks_at_leaves_an_approval_as_it_is(beside: tuple[str, str]) -> None:
    assert between(SIMULATED, beside).digest == between(SIMULATED).digest


def test_storage_of_another_kind_is_another_data_set() -> None:
    found = between((HOME, "  home: {kind: scratch, pools: [gpu]}\n"), old=STORED)
    assert grave(found) == {"replace": (*GPUS, "login01", "nvme01")}
    assert found.why["replace"] == ("storage.home changed (replace)",)


def test_storage_under_another_name_is_another_data_set() -> None:
    found = between(("  home: {", "  homes: {"), ("raid10", "raid6"), old=STORED)
    assert found.hosts["replace"] == (*GPUS, "login01", "nvme01")
    assert found.why["replace"] == ("storage.home removed (replace)",)
    assert found.digest != between(("  home: {", "  homes: {"), old=STORED).digest


def test_what_another_system_serves_stays_there() -> None:
    assert grave(between((DATASETS, ""), old=STORED)) == {"drain": (*GPUS, "login01")}


def test_a_scheduler_that_goes_drains_where_it_ran() -> None:
    found = between((TEXT.splitlines()[14] + "\n", ""))
    assert grave(found) == {"drain": ("ctl01", *GPUS, "login01")}
    assert found.why["drain"] == ("scheduler removed (drain)",)


@pytest.mark.parametrize("new", ["services: {}", "services: {tracking: {kind: mlflow}}"])
def test_a_service_that_goes_takes_what_it_kept(new: str) -> None:
    found = between(("services: {mlflow: {kind: mlflow}}", new))
    assert grave(found) == {"replace": ("svc01",)}
    assert found.why["replace"] == ("services.mlflow removed (replace)",)


def test_a_service_that_moves_is_where_it_was_and_where_it_comes_to() -> None:
    still = TWIN[: TWIN.index("        retrain:\n")] + TWIN[TWIN.index("\nteams:\n") :]
    moved = ("    kind: datasets\n", "    kind: datasets\n    runs_on: gpu\n")
    assert grave(between(moved, old=still)) == {"replace": ("gpu01", "login01")}


def test_a_service_that_keeps_nothing_may_go() -> None:
    assert grave(between((SETS, ""), old=TWIN)) == {}


def test_what_cannot_be_read_has_a_digest_of_both_sides() -> None:
    one, other = loads(TEXT), loads(onprem(11))
    assert unread("a", one) == unread("a", loads(TEXT))
    assert len({unread("a", one), unread("b", one), unread("a", other)}) == 3
