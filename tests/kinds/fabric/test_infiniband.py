"""Kind infiniband: a spec with hosts becomes switches and cables, and every misfit is told with what to do."""

from __future__ import annotations

import re
from typing import Any

import pytest

from platform_iac.fabric.ibnet import placeholder
from platform_iac.fabric.model import Fabric
from platform_iac.plan.context import PlanError
from platform_iac.plan.make import hosts, make, wire
from platform_iac.plan.model import Plan
from platform_iac.spec.errors import SpecError
from platform_iac.spec.load import from_data, load
from tests.fabric.shapes import cables, counts, hold

GPU = {"duty": "compute", "hosts": "gpu[001-031]", "hardware": "dgx-h100"}
GUIDS = [f"b83fd203009a{number:04x}" for number in range(1, 9)]


def spec(pools: dict[str, Any] | None = None, /, **fabric: Any) -> dict[str, Any]:
    """A spec without sites: 31 DGX H100 where no pools are given."""
    return {
        "apiVersion": "platform-iac/v1",
        "name": "falcon",
        "fabric": {"kind": "infiniband", **fabric},
        "pools": pools or {"gpu": GPU},
    }


def wired(pools: dict[str, Any] | None = None, /, **fabric: Any) -> Fabric:
    platform = from_data(spec(pools, **fabric))
    found = wire(platform, hosts(platform))
    assert found is not None
    return found


def twin() -> Plan:
    """Two small nodes and two managers on the twin."""
    nics = [{"kind": "infiniband", "purpose": "compute", "product": "NDR", "devices": "mlx5_0", "rate_gbps": 400}]
    pools = {
        "gpu": {"duty": "compute", "hosts": "gpu[01-02]", "addresses": "10.0.0.21", "hardware": "gpu-server"},
        "sm": {"duty": "manager", "hosts": "sm[01-02]", "addresses": "10.0.0.31", "hardware": {"nics": nics}},
    }
    sites = {"lab": {"kind": "lab", "domain": "lab.example.net", "network": "10.0.0.0/24"}}
    at = {name: {"site": "lab", **pool} for name, pool in pools.items()}
    return make(from_data({**spec(at, radix=8), "sites": sites}))


@pytest.mark.parametrize(
    ("nodes", "leaves", "spines", "ends", "uplinks"),
    [(31, 8, 4, 252, 256), (63, 16, 8, 508, 512), (95, 24, 16, 764, 768), (127, 32, 16, 1020, 1024)],
)
def test_a_spec_of_a_fabric_and_a_pool_gives_the_published_table(
    nodes: int, leaves: int, spines: int, ends: int, uplinks: int
) -> None:
    found = wired({"gpu": {**GPU, "hosts": f"gpu[001-{nodes:03}]"}})
    assert counts(found) == (leaves, spines, 0)
    assert cables(found) == {"node_leaf": nodes * 8, "manager": 4, "leaf_spine": uplinks, "spine_core": 0}
    assert nodes * 8 + 4 == ends


def test_rails_are_the_ports_for_jobs_in_the_order_of_the_catalog() -> None:
    found = wired()
    devices = [one.device for one in found.adapters if one.host == "gpu001"]
    assert devices == [f"mlx5_{number}" for number in (0, 3, 4, 5, 6, 9, 10, 11)]
    assert {cable.rate_gbps for cable in found.cables} == {400}


def test_a_pool_without_ports_for_jobs_is_not_on_the_fabric() -> None:
    pools = {"gpu": GPU, "cpu": {"duty": "compute", "hosts": "cpu[01-04]"}, "login": {"duty": "login", "hosts": "l1"}}
    assert {one.host for one in wired(pools).adapters if one.rail} == {f"gpu{number:03}" for number in range(1, 32)}


def test_storage_comes_on_the_fabric_where_its_pool_is_named() -> None:
    pools = {
        "gpu": {**GPU, "hosts": "gpu[01-28]"},
        "stor": {"duty": "storage", "hosts": "nvme[01-04]", "hardware": "nvme-server"},
    }
    found = wired(pools, pools=["gpu", "stor"])
    assert counts(found) == (8, 4, 0)
    assert {one.rate_gbps for one in found.cables if one.a.startswith("nvme")} == {200}
    hold(found)


def test_fewer_rails_than_ports_leave_the_last_ports_empty_and_say_so() -> None:
    found = wired(rails=4)
    assert [one.device for one in found.adapters if one.host == "gpu031"] == [f"mlx5_{n}" for n in (0, 3, 4, 5)]
    assert counts(found) == (4, 2, 0)
    assert "hosts of pool `gpu` have 8 ports: the last 4 of them are on no rail" in found.notes
    hold(found)


def test_managers_of_the_spec_take_a_cable_for_each_of_their_ports() -> None:
    found = twin().fabric
    assert found is not None
    assert [(one.a, one.b) for one in found.of_layer("manager")] == [
        ("sm01 mlx5_0", "leaf-01-1"),
        ("sm02 mlx5_0", "leaf-01-2"),
    ]
    hold(found)


def test_on_the_twin_every_guid_is_derived_from_a_name_and_none_is_given_twice() -> None:
    found = twin().fabric
    assert found is not None
    everything = [*found.switches, *found.adapters]
    assert all(re.fullmatch("[0-9a-f]{16}", one.guid) for one in everything)
    assert len({one.guid for one in everything}) == len(everything)
    assert found.adapters[0].guid == placeholder("gpu01 mlx5_0")


def test_on_prem_guids_are_those_of_the_spec_and_else_unknown() -> None:
    found = wired(guids={"gpu002": GUIDS}, switch_guids={"leaf-01-3": "b83fd2030000aaaa"})
    assert [one.guid for one in found.adapters if one.host == "gpu002"] == GUIDS
    assert {one.guid for one in found.adapters if one.host != "gpu002"} == {""}
    assert {one.name: one.guid for one in found.switches if one.guid} == {"leaf-01-3": "b83fd2030000aaaa"}


CANNOT = [
    ({"tiers": 2, "unit": 16, "radix": 32}, 128, "take 63 nodes at most or `tiers: 3`"),
    ({"radix": 63}, 31, "63 ports of a switch cannot be halved — take `radix: 62` or 64"),
    ({"unit": 33}, 31, "a unit of 33 nodes .* — take `unit: 32`"),
    ({"rails": 16}, 31, "hosts of pool `gpu` have 8 ports, the fabric 16 rails — take `rails: 8`, other hardware"),
    ({"blocking": 2}, 31, "cannot be shared out 2:1 — take `blocking: "),
    ({"guids": {"gpu001": GUIDS[:7]}}, 31, r"\.guids\.gpu001: 7 GUIDs for 8 ports — give one for each"),
    ({"guids": {"gpu0001": GUIDS}}, 31, "`gpu0001` is not on the fabric — did you mean `gpu001`"),
    ({"guids": {"gpu001": GUIDS[:7] + GUIDS[:1]}}, 31, f"GUID {GUIDS[0]} is given twice — "),
    ({"switch_guids": {"leaf-01-9": GUIDS[0]}}, 31, "no switch `leaf-01-9` — did you mean `leaf-01-"),
]


@pytest.mark.parametrize(("fabric", "nodes", "message"), CANNOT)
def test_what_cannot_be_cabled_is_told_with_what_to_do(fabric: dict[str, Any], nodes: int, message: str) -> None:
    with pytest.raises(PlanError, match=rf"^fabric.*{message}"):
        wired({"gpu": {**GPU, "hosts": f"gpu[001-{nodes:03}]"}}, **fabric)


def test_pools_without_ports_are_told() -> None:
    cpu = {"cpu": {"duty": "compute", "hosts": "cpu[01-04]"}}
    with pytest.raises(PlanError, match="no pool with `duty: compute` has InfiniBand ports for jobs — add one"):
        wired(cpu)
    with pytest.raises(PlanError, match="pool `cpu` has no InfiniBand ports for jobs or storage — give it other"):
        wired({"gpu": GPU, **cpu}, pools=["gpu", "cpu"])
    manager = {"gpu": GPU, "sm": {"duty": "manager", "hosts": "sm01"}}
    with pytest.raises(PlanError, match="`sm01` is to manage it and has no InfiniBand port — give pool `sm` hardware"):
        wired(manager)
    assert counts(wired(manager, manager_cables=0)) == (8, 4, 0)


def test_managers_among_the_nodes_are_not_cabled_twice() -> None:
    nics = [{"kind": "infiniband", "purpose": "compute", "product": "NDR", "devices": "mlx5_0", "rate_gbps": 400}]
    pools = {"gpu": GPU, "mgr": {"duty": "manager", "hosts": "mgr[01-02]", "hardware": {"nics": nics}}}
    with pytest.raises(PlanError, match="managers have their cables already — take `mgr` out of `pools`"):
        wired(pools, pools=["gpu", "mgr"])
    hold(wired(pools, pools=["gpu"]))
    with_none = wired({"gpu": {**GPU, "hosts": "gpu[01-30]"}, "mgr": pools["mgr"]}, pools=["gpu"], manager_cables=0)
    assert not [one for one in with_none.adapters if one.host.startswith("mgr")]


@pytest.mark.parametrize("guid", ["0xb83fd203009a0001", "B83FD203009A0001", "b83fd203009a001", "0" * 16])
def test_what_is_no_guid_is_refused(guid: str) -> None:
    with pytest.raises(SpecError, match="is no GUID — write 16 digits 0-9 and a-f without 0x"):
        from_data(spec(switch_guids={"leaf-01-1": guid}))


def test_hosts_of_the_fabric_get_what_jobs_read_and_checks_prove_it() -> None:
    plan = make(load("falcon"))
    run = next(run for run in plan.runs if run.name == "infiniband_node")
    assert run.hosts == tuple(f"gpu{number:03}" for number in range(1, 32))
    assert [file.path for file in run.host_files["gpu031"]] == ["/etc/nccl.conf"]
    proofs = [check for check in plan.checks if check.argv == ("cat", "/etc/nccl.conf")]
    assert [check.host for check in proofs] == list(run.hosts)
    assert re.search(proofs[0].expect, run.host_files["gpu001"][0].content, re.MULTILINE)


def test_a_node_more_changes_nothing_on_the_others() -> None:
    def files(count: int) -> dict[str, Any]:
        data = {**spec({"gpu": {**GPU, "hosts": f"gpu[001-{count:03}]", "site": "lab", "addresses": "10.0.0.21"}})}
        lab = {"kind": "lab", "domain": "lab.example.net", "network": "10.0.0.0/24"}
        runs = make(from_data({**data, "sites": {"lab": lab}})).runs
        return dict(next(run for run in runs if run.name == "infiniband_node").host_files)

    few, more = files(20), files(21)
    assert {host: more[host] for host in few} == few
    assert more.keys() - few.keys() == {"gpu021"}


def managed(count: int = 31, /, engine: str = "", known: int = 0, **fabric: Any) -> str:
    """The manager's opensm.conf on hardware whose first switches of the top tier, so many, have GUIDs."""
    nics = [{"kind": "infiniband", "purpose": "compute", "product": "NDR", "devices": "mlx5_0", "rate_gbps": 400}]
    pools = {
        "gpu": {**GPU, "hosts": f"gpu[0001-{count:04}]", "site": "dc1", "addresses": "10.0.1.1"},
        "sm": {"duty": "manager", "hosts": "sm01", "site": "dc1", "addresses": "10.0.0.31", "hardware": {"nics": nics}},
    }
    access = {"ssh_config": "/none/ssh_config", "known_hosts": "/none/known_hosts"}
    site = {"kind": "onprem", "domain": "dc1.example.net", "network": "10.0.0.0/16", "access": access}
    if engine:
        fabric["manager"] = {"engine": engine}
    guids = {f"spine-{number:03}": f"b83fd2030000{number:04x}" for number in range(1, known + 1)}
    plan = make(from_data({**spec(pools, switch_guids=guids, **fabric), "sites": {"dc1": site}}))
    run = next(run for run in plan.runs if run.name == "infiniband_manager")
    (said,) = [check.expect for check in plan.checks if check.name.startswith("opensm on sm01 routes by")]
    conf = next(file.content for file in run.host_files["sm01"] if file.path == "/etc/opensm/opensm.conf")
    assert f"master {engine or 'ftree'}|" in said
    assert ("/etc/opensm/root_guids" in {file.path for file in run.files}) == ("root_guid_file" in conf)
    return conf


@pytest.mark.parametrize(("known", "unknown"), [(0, "`spine-001` to `spine-004`"), (3, "`spine-004`")])
def test_ftree_is_told_the_top_switches_or_not_taken(known: int, unknown: str) -> None:
    with pytest.raises(PlanError, match=rf"the GUIDs of {unknown} — list them in .*, or take `engine: minhop`"):
        managed(known=known)
    assert "routing_engine ftree,no_fallback\nroot_guid_file /etc/opensm/root_guids\n" in managed(known=4)


def test_three_tiers_are_told_their_cores() -> None:
    with pytest.raises(PlanError, match="the GUIDs of `core-001` to `core-128` — list them"):
        managed(1000)
    assert "routing_engine minhop,no_fallback\n" in managed(1000, engine="minhop")


@pytest.mark.parametrize("engine", ["minhop", "updn"])
def test_a_first_bring_up_takes_an_engine_that_asks_for_no_guids(engine: str) -> None:
    assert f"routing_engine {engine},no_fallback\n" in managed(engine=engine)
    assert "root_guid_file" not in managed(engine=engine)
    assert ("root_guid_file" in managed(engine=engine, known=4)) == (engine == "updn")


def test_without_sites_only_the_fabric_is_planned() -> None:
    with pytest.raises(PlanError, match="pool `gpu` has no site — add `sites`, and `site` and `addresses`"):
        make(from_data(spec()))
