"""The subnet manager on a simulated fabric: the real opensm routes the whole plan of 31 nodes with 8 rails.

Three machines: the one that plays the fabric, the manager, and one of the nodes. All other adapters are only
ibsim's, and the real opensm cannot tell the difference. One manager: on the simulator two of them do not always
agree on a master (README, "what was not tried").
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

import pytest

from platform_iac.fabric import ibnet
from platform_iac.fabric.routes import Network, all_to_all, tables, worst_shift
from platform_iac.kinds.fabric import _partitions
from platform_iac.lab import fabric as faults
from platform_iac.plan.context import Context
from platform_iac.spec.load import loads
from tests.twin_support import machines
from tests.twin_support.acceptance import accept
from tests.twin_support.ansible import play, up_to
from tests.twin_support.machines import Lab

if TYPE_CHECKING:
    from platform_iac.fabric.model import Cable, Fabric

pytestmark = pytest.mark.twin

SPEC = """
apiVersion: platform-iac/v1
name: roleib
sites:
  lab: {kind: lab, domain: lab.example.net, network: 10.93.0.0/24}
fabric: {kind: infiniband}
pools:
  infra: {site: lab, duty: mirror, hosts: mirror01, addresses: 10.93.0.10}
  mgr:
    site: lab
    duty: manager
    hosts: mgr01
    addresses: 10.93.0.11
    hardware:
      like: cpu-server
      nics: [{kind: infiniband, purpose: compute, product: ConnectX-7, devices: mlx5_0, rate_gbps: 400}]
  gpu: {site: lab, duty: compute, hosts: "gpu[001-031]", addresses: 10.93.0.101, hardware: dgx-h100}
"""
SERVER, NODE = "mirror01", "gpu001"
SWEEP_SECONDS = 90


@pytest.fixture(scope="module")
def lab() -> Iterator[Lab]:
    with machines.lab(SPEC, only=(SERVER, "mgr01", NODE)) as made:
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
    return lab.run("mgr01", "tail -n 30 /var/log/opensm.log; journalctl -u opensm -n 10 --no-pager").text


def master(lab: Lab) -> str:
    """The host whose opensm is master, as a node of the fabric sees it; empty while there is none."""
    said = lab.run(NODE, "timeout -s KILL 15 sminfo").text
    found = re.search(r"sm guid 0x([0-9a-f]+), .*SMINFO_MASTER", said)
    guids = {int(port.guid, 16): port.host for port in planned(lab).adapters if not port.rail}
    return guids.get(int(found[1], 16), "") if found else ""


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
    accept(lab, "infiniband_manager")


def test_the_engine_of_the_spec_is_the_one_that_is_used(managed: Lab) -> None:
    engine = "/usr/local/libexec/platform-iac/routing-engine"
    assert managed.ok("mgr01", engine).strip() == "master ftree", log(managed)
    assert "minhop" not in managed.ok("mgr01", "grep 'tables configured' /var/log/opensm.log")


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
    assert len(ports) == 31 * 8 + 1
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


def test_every_port_has_the_partition_keys_of_the_plan(managed: Lab) -> None:
    spec = loads(SPEC)
    context = Context(spec, managed.plan.hosts, planned(managed))
    partitions = _partitions.planned(spec.fabric.manager.partitions, context)
    wanted = _partitions.keys(partitions, planned(managed), context)
    hosts = {NODE, "mgr01"}
    for port in (port for port in planned(managed).adapters if port.host in hosts):
        said = managed.ok(port.host, f"smpquery -C {port.device} pkeys -D 0 1")
        found = [int(key, 16) for key in re.findall(r"0x([0-9a-f]{4})", said) if int(key, 16)]
        assert set(found) == wanted[port.name], f"{port.name}: {said}"
        if port.rail:
            assert found[0] == 0x8001, f"programs that choose no partition take the first: {said}"


def test_a_pulled_cable_and_a_dead_spine_cost_no_pair(managed: Lab) -> None:
    whole, ports = planned(managed).cables, names(managed)
    cable = next(cable for cable in whole if cable.layer == "leaf_spine")
    spine = planned(managed).of_tier("spine")[-1].name
    left = tuple(one for one in whole if one != cable and one.b != spine)
    faults.unplug(managed.name, SERVER, node_id(managed, cable.a), cable.a_port)
    faults.power_off(managed.name, SERVER, node_id(managed, spine))
    try:
        wait(lambda: network(managed, left).lost(ports) == [], "routes around the faults", lambda: log(managed))
        assert managed.ok("mgr01", "/usr/local/libexec/platform-iac/routing-engine").strip() == "master ftree"
    finally:
        faults.plug(managed.name, SERVER, node_id(managed, cable.a), cable.a_port)
        faults.power_on(managed.name, SERVER, node_id(managed, spine))
    wait(lambda: spine in _used(managed), "routes through the spine again", lambda: log(managed))
    assert network(managed, whole).lost(ports) == []


def _used(lab: Lab) -> set[str]:
    ways, ports = network(lab, planned(lab).cables), names(lab)
    if ways.lost(ports):
        return set()
    return {switch for pair in all_to_all(ports) for switch, _ in ways.way(*pair)}
