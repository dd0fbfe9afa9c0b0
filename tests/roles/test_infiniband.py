"""The subnet manager on a simulated fabric: the real opensm routes the whole plan of 31 nodes with 8 rails.

Four machines: the one that plays the fabric, both managers, and one of the nodes. All other adapters are only
ibsim's, and the real opensm cannot tell the difference.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from platform_iac import cli
from platform_iac.checks.remote import Remote
from platform_iac.checks.run import judge
from platform_iac.commands import check
from platform_iac.fabric import ibnet
from platform_iac.fabric.routes import Network, all_to_all, tables, worst_shift
from platform_iac.kinds.fabric import _partitions, _subnet, infiniband
from platform_iac.lab import fabric as faults
from platform_iac.plan.context import Context
from platform_iac.spec.load import loads
from tests.twin_support import machines
from tests.twin_support.acceptance import accept
from tests.twin_support.ansible import find, play, up_to
from tests.twin_support.machines import Lab

if TYPE_CHECKING:
    from platform_iac.fabric.model import Cable, Fabric

pytestmark = pytest.mark.twin

SPEC = """
apiVersion: platform-iac/v1
name: roleib
sites:
  lab: {kind: lab, domain: lab.example.net, network: 10.93.0.0/24}
fabric: {kind: infiniband, manager: {partitions: {archive: {pkey: 0x0010, sl: 1, weight: 96}}}}
pools:
  infra: {site: lab, duty: mirror, hosts: mirror01, addresses: 10.93.0.10}
  mgr:
    site: lab
    duty: manager
    hosts: mgr[01-02]
    addresses: 10.93.0.11
    hardware:
      like: cpu-server
      nics: [{kind: infiniband, purpose: compute, product: ConnectX-7, devices: mlx5_0, rate_gbps: 400}]
  gpu: {site: lab, duty: compute, hosts: "gpu[001-031]", addresses: 10.93.0.101, hardware: dgx-h100}
"""
SERVER, NODE, MANAGERS = "mirror01", "gpu001", ("mgr01", "mgr02")
SWEEP_SECONDS = 90


@pytest.fixture(scope="module")
def lab() -> Iterator[Lab]:
    with machines.lab(SPEC, only=(SERVER, *MANAGERS, NODE)) as made:
        up_to(made, "fabric_simulator")
        yield made


@pytest.fixture(scope="module")
def managed(lab: Lab) -> Lab:
    """The lab with a fabric that its managers manage."""
    for run in ("fabric_simulator", "infiniband_manager", "infiniband_node"):
        play(lab, run).ok()
    wait(lambda: master(lab) == "mgr01", "mgr01 to be master", lambda: log(lab))
    return lab


def wait(condition: Callable[[], bool], what: str, said: Callable[[], str]) -> None:
    """Wait for a condition; AssertionError with what there is to see when it does not come true."""
    deadline = time.monotonic() + SWEEP_SECONDS
    while not condition():
        assert time.monotonic() < deadline, f"waited {SWEEP_SECONDS} s for {what}: {said()}"
        time.sleep(1)


def log(lab: Lab) -> str:
    command = "hostname; tail -n 30 /var/log/opensm.log; journalctl -u opensm -n 10 --no-pager"
    return "".join(lab.run(host, command).text for host in MANAGERS)


def master(lab: Lab) -> str:
    """The host whose opensm is master, as a node of the fabric sees it; empty while there is none."""
    said = lab.run(NODE, "timeout -s KILL 15 sminfo").text
    found = re.search(r"sm guid 0x([0-9a-f]+), .*SMINFO_MASTER", said)
    guids = {int(port.guid, 16): port.host for port in planned(lab).adapters if not port.rail}
    return guids.get(int(found[1], 16), "") if found else ""


def routing(lab: Lab, manager: str) -> str:
    """What a manager says of itself: `master ftree`, `standby`."""
    return lab.ok(manager, _subnet.ENGINE).strip()


def planned(lab: Lab) -> Fabric:
    assert lab.plan.fabric is not None
    return lab.plan.fabric


def names(lab: Lab) -> list[str]:
    """Every adapter on the fabric, rail by rail: the order in which NCCL's rings take them."""
    ports = sorted(planned(lab).adapters, key=lambda port: (port.rail, port.host))
    return [port.name for port in ports]


def network(lab: Lab, cables: tuple[Cable, ...]) -> Network:
    """The tables that the switches have now, over these cables."""
    return Network(cables, tables(lab.ok(NODE, "timeout -s KILL 100 dump_fts")))


def node_id(lab: Lab, name: str) -> str:
    nodes = (*planned(lab).switches, *planned(lab).adapters)
    return ibnet.node_id(next(node for node in nodes if node.name == name))


def test_fabric_simulator_passes_the_acceptance(lab: Lab) -> None:
    accept(lab, "fabric_simulator")


def test_infiniband_manager_passes_the_acceptance(lab: Lab) -> None:
    """Although one manager hangs as it ends, as the real one does now and then."""
    hang, reload = "/etc/systemd/system/opensm.service.d/hang.conf", "systemctl daemon-reload"
    lab.ok("mgr02", f"install -D /dev/stdin {hang} <<< $'[Service]\nExecStop=/bin/sleep infinity'; {reload}")
    try:
        accept(lab, "infiniband_manager")
    finally:
        lab.ok("mgr02", f"rm {hang}; {reload}")


def test_the_engine_of_the_spec_is_the_one_that_is_used(managed: Lab) -> None:
    assert [routing(managed, host) for host in MANAGERS] == ["master ftree", "standby"], log(managed)
    assert "minhop" not in managed.ok("mgr01", "grep 'tables configured' /var/log/opensm.log")


def test_every_check_of_the_fabric_passes(managed: Lab) -> None:
    spec, made = loads(SPEC), {NODE, *MANAGERS}
    proofs = infiniband.checks("fabric", spec.fabric, Context(spec, managed.plan.hosts, planned(managed)))
    remote = Remote(str(managed.ssh_config))
    # Every node is asked about over a manager; of those that are no machines one is enough.
    mine = [proof for proof in proofs if proof.host in made and (proof.argv[0] != "smpquery" or NODE in proof.name)]
    assert {(proof.name, judge(proof, remote).reason) for proof in mine} == {(proof.name, "") for proof in mine}
    assert len(mine) == 9


def test_no_key_of_the_fabric_is_in_a_journal(managed: Lab) -> None:
    keys = {managed.secrets[name] for name in find(managed, "infiniband_manager").secrets}
    managed.ok("mgr01", "systemctl reload opensm.service && sleep 2")  # it tells its options again
    said = managed.ok("mgr01", "journalctl --no-pager --output=cat")
    assert len(keys) > 1
    assert "opensm" in said
    assert not {key for key in keys if key in said}
    assert all(key in managed.ok("mgr01", "cat /etc/opensm/opensm.conf") for key in keys)


def test_what_is_discovered_is_the_plan(managed: Lab) -> None:
    found = ibnet.parse(managed.ok("mgr01", "timeout -s KILL 60 ibnetdiscover"))
    text = ibnet.write(planned(managed), divisor=ibnet.slowdown(planned(managed)))
    assert found.links == ibnet.parse(text).links


def test_every_port_of_a_node_is_active(managed: Lab) -> None:
    said = managed.ok(NODE, "ibstat")
    assert re.findall(r"^CA '(\w+)'$", said, re.MULTILINE) == [
        port.device for port in planned(managed).adapters if port.host == NODE
    ]
    assert said.count("State: Active") == 8, said


def test_every_pair_of_adapters_has_a_route_and_its_quality_is_told(
    managed: Lab, record_property: Callable[[str, object], None]
) -> None:
    ways, ports = network(managed, planned(managed).cables), names(managed)
    assert len(ports) == 31 * 8 + len(MANAGERS)
    assert ways.lost(ports) == []
    load = ways.load(all_to_all(ports))
    by, worst = worst_shift(ways, ports)
    record_property("all_to_all_largest", load.largest)
    record_property("all_to_all_mean", round(load.mean, 1))
    record_property("worst_shift", by)
    record_property("worst_shift_largest", worst.largest)
    # A fabric that blocks nobody has tables that do not crowd a cable with more than a few routes of one step.
    assert load.largest <= 1.5 * load.mean
    assert worst.largest <= 4, worst


def keys(lab: Lab, host: str, device: str) -> list[int]:
    """The keys in the table of a port, in its order."""
    said = lab.ok(host, f"smpquery -C {device} pkeys -D 0 1")
    return [int(key, 16) for key in re.findall(r"0x([0-9a-f]{4})", said) if int(key, 16)]


def may_talk(one: list[int], other: list[int]) -> bool:
    """Tell whether ports with these keys hear each other: in one partition, and one of them a full member (10.9.3)."""
    pairs = [(key, peer) for key in one for peer in other if (key ^ peer) & ~_partitions.FULL == 0]
    return any((key | peer) & _partitions.FULL for key, peer in pairs)


def test_every_port_has_the_partition_keys_of_the_plan(managed: Lab) -> None:
    spec = loads(SPEC)
    context = Context(spec, managed.plan.hosts, planned(managed))
    partitions = _partitions.planned(spec.fabric.manager.partitions, context)
    wanted = _partitions.keys(partitions, planned(managed), context)
    for port in (port for port in planned(managed).adapters if port.host in {NODE, *MANAGERS}):
        found = keys(managed, port.host, port.device)
        assert set(found) == wanted[port.name], port.name
        if port.rail:
            assert found[0] == 0x8001, f"programs that choose no partition take the first: {found}"


def test_a_service_level_has_its_lane_and_its_share_of_a_link(managed: Lab) -> None:
    said = managed.ok(NODE, "smpquery sl2vl -D 0 1 && smpquery vlarb -D 0 1")
    assert re.search(r"^ports: in +0, out +0: \| 0\| 1\| 0\|", said, re.MULTILINE), said
    assert re.search(r"^WEIGHT: \|0x20\|0x60\|0x0 \|", said, re.MULTILINE), said


def test_without_the_rule_for_default_hosts_are_cut_off_from_each_other(managed: Lab) -> None:
    rules, aside = _subnet.PARTITIONS, f"{_subnet.PARTITIONS}.aside"

    def both() -> list[list[int]]:
        return [keys(managed, NODE, device) for device in ("mlx5_0", "mlx5_3")]

    assert may_talk(*both())
    for host in MANAGERS:
        managed.ok(host, f"cp {rules} {aside} && echo 'archive=0x0010 : SELF=full ;' > {rules}")
        managed.ok(host, "systemctl reload opensm")
    try:
        wait(lambda: both() == [[_partitions.DEFAULT]] * 2, "the tables that opensm then makes", lambda: str(both()))
        assert not may_talk(*both())
    finally:
        for host in MANAGERS:
            managed.ok(host, f"mv {aside} {rules} && systemctl reload opensm")
    wait(lambda: may_talk(*both()), "the tables of the plan again", lambda: str(both()))


def test_a_pulled_cable_and_a_dead_spine_cost_no_pair(managed: Lab) -> None:
    whole, ports = planned(managed).cables, names(managed)
    cable = next(cable for cable in whole if cable.layer == "leaf_spine")
    spine = planned(managed).of_tier("spine")[-1].name
    left = tuple(one for one in whole if one != cable and one.b != spine)
    faults.unplug(managed.name, SERVER, node_id(managed, cable.a), cable.a_port)
    faults.power_off(managed.name, SERVER, node_id(managed, spine))
    try:
        wait(lambda: network(managed, left).lost(ports) == [], "routes around the faults", lambda: log(managed))
        assert routing(managed, "mgr01") == "master ftree"
    finally:
        faults.plug(managed.name, SERVER, node_id(managed, cable.a), cable.a_port)
        faults.power_on(managed.name, SERVER, node_id(managed, spine))
    wait(lambda: spine in _used(managed), "routes through the spine again", lambda: log(managed))
    assert network(managed, whole).lost(ports) == []


def test_a_killed_master_gives_way_to_its_standby_and_takes_over_again(
    managed: Lab, record_property: Callable[[str, object], None]
) -> None:
    before, whole, ports = lids(managed), planned(managed).cables, names(managed)
    cable = next(cable for cable in whole if cable.layer == "leaf_spine")
    left = tuple(one for one in whole if one != cable)
    # Killed without a word to anybody; the stop only keeps systemd from starting it anew.
    managed.ok("mgr01", "systemctl kill --signal=KILL opensm.service; systemctl stop opensm.service")
    started = time.monotonic()
    wait(lambda: master(managed) == "mgr02", "mgr02 to take over", lambda: log(managed))
    record_property("takeover_seconds", round(time.monotonic() - started, 1))
    wait(lambda: routing(managed, "mgr02") == "master ftree", "its routes", lambda: log(managed))
    assert lids(managed) == before
    assert network(managed, whole).lost(ports) == []
    faults.unplug(managed.name, SERVER, node_id(managed, cable.a), cable.a_port)
    try:
        wait(lambda: network(managed, left).lost(ports) == [], "the standby to route anew", lambda: log(managed))
    finally:
        faults.plug(managed.name, SERVER, node_id(managed, cable.a), cable.a_port)
    managed.ok("mgr01", "systemctl start opensm.service")
    wait(lambda: master(managed) == "mgr01", "mgr01 to be master again", lambda: log(managed))
    wait(lambda: routing(managed, "mgr02") == "standby", "mgr02 to stand by", lambda: log(managed))
    assert lids(managed) == before
    wait(lambda: network(managed, whole).lost(ports) == [], "all routes", lambda: log(managed))


def lids(lab: Lab) -> dict[str, int]:
    """The address of every adapter's port, by its GUID."""
    said = lab.ok(NODE, "timeout -s KILL 60 ibnetdiscover")
    return {guid: int(lid) for guid, lid in re.findall(r"^\[1\]\((\w+)\).*# lid (\d+) ", said, re.MULTILINE)}


def test_the_cabling_is_checked_over_a_manager_port_by_port(
    managed: Lab, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "roleib.yaml"
    path.write_text(SPEC)
    monkeypatch.setattr(check, "reach", lambda stack, plan: Remote(str(managed.ssh_config)))

    def report() -> tuple[int, str]:
        status = cli.run(["check", "fabric", str(path)])
        return status, capsys.readouterr().out

    every = len(planned(managed).cables)
    assert report() == (0, f"Fabric\n  {every} of {every} cables are where they belong, 0 findings\n")
    leaf, fourth, fifth = (node_id(managed, name) for name in ("leaf-01-3", "gpu004 mlx5_4", "gpu005 mlx5_4"))
    sixth, seventh, eighth = (node_id(managed, f"leaf-01-{number}") for number in (6, 7, 8))
    lab, speed = managed.name, "ibportstate -D 0,1 7 espeed"
    # A manager would set the slow link right again.
    for host in MANAGERS:
        managed.ok(host, "systemctl stop opensm.service")
    try:
        for port in (4, 5):
            faults.unplug(lab, SERVER, leaf, port)
        faults.connect(lab, SERVER, (leaf, 4), (fifth, 1))
        faults.connect(lab, SERVER, (leaf, 5), (fourth, 1))
        faults.unplug(lab, SERVER, sixth, 20)
        faults.connect(lab, SERVER, (seventh, 32), (eighth, 32))
        managed.ok(NODE, f"{speed} 2")
        status, said = report()
    finally:
        managed.ok(NODE, f"{speed} 7")
        faults.unplug(lab, SERVER, seventh, 32)
        faults.plug(lab, SERVER, sixth, 20)
        for port in (4, 5):
            faults.unplug(lab, SERVER, leaf, port)
        faults.connect(lab, SERVER, (leaf, 4), (fourth, 1))
        faults.connect(lab, SERVER, (leaf, 5), (fifth, 1))
        for host in MANAGERS:
            managed.ok(host, "systemctl start opensm.service")
    assert status == 1
    assert "leaf-01-3 port 4: planned gpu004 mlx5_4, found gpu005 mlx5_4 — swapped with leaf-01-3 port 5" in said
    assert "leaf-01-6 port 20: planned gpu020 mlx5_9, found nothing" in said
    assert "leaf-01-1 port 7: planned 400 Gb/s to gpu007 mlx5_0, found 4xEDR, which stands for 200 Gb/s" in said
    assert re.search(r"surplus +leaf-01-7 port 32", said), said
    assert f"{every - 3} of {every} cables are where they belong, 4 findings" in said
    assert report()[0] == 0


def _used(lab: Lab) -> set[str]:
    ways, ports = network(lab, planned(lab).cables), names(lab)
    if ways.lost(ports):
        return set()
    return {switch for pair in all_to_all(ports) for switch, _ in ways.way(*pair)}
