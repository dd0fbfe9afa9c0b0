"""Kind ethernet: the planner's tables again, addresses that stay, hosts' rails, and switches that fit each other."""

from __future__ import annotations

import json
import re
from collections import Counter
from ipaddress import IPv4Address, IPv4Network
from typing import Any

import pytest
from ruamel.yaml import YAML

from platform_iac.fabric.model import Fabric
from platform_iac.fabric.racks import place
from platform_iac.kinds.fabric import ethernet
from platform_iac.kinds.fabric.ethernet.addresses import Addresses
from platform_iac.plan.context import Context, PlanError
from platform_iac.plan.make import hosts, make, wire
from platform_iac.plan.model import Plan, Run
from platform_iac.spec.errors import SpecError
from platform_iac.spec.load import from_data
from tests.fabric.shapes import cables, counts, hold
from tests.kinds.scheduler.slurm.specs import TWIN

INTERFACES = "enp[24,64,79,94,154,192,206,220]s0np0"
RAILS = {
    "kind": "ethernet",
    "purpose": "compute",
    "product": "ConnectX-7",
    "devices": "mlx5_[0,3-6,9-11]",
    "interfaces": INTERFACES,
    "rate_gbps": 400,
}
MANAGEMENT = {
    "kind": "ethernet",
    "purpose": "management",
    "product": "25GbE",
    "devices": "eno[1-2]",
    "rate_gbps": 25,
}


def spec(count: int = 32, /, nics: list[dict[str, Any]] | None = None, **fabric: Any) -> dict[str, Any]:
    hardware = {"like": "dgx-h100", "nics": nics or [RAILS, MANAGEMENT]}
    return {
        "apiVersion": "platform-iac/v1",
        "name": "falcon",
        "fabric": {"kind": "ethernet", **fabric},
        "pools": {"gpu": {"duty": "compute", "hosts": f"gpu[0001-{count:04}]", "hardware": hardware}},
    }


def wired(count: int = 32, /, **fabric: Any) -> Fabric:
    platform = from_data(spec(count, **fabric))
    found = wire(platform, hosts(platform))
    assert found is not None
    return found


def planned(
    count: int = 3, /, *, gpus: str = "nvidia", nics: list[dict[str, Any]] | None = None, **fabric: Any
) -> Plan:
    access = {"ssh_config": "/etc/ssh/ssh_config", "known_hosts": "/etc/ssh/known_hosts"}
    data = spec(count, nics, **fabric)
    data["sites"] = {
        "dc1": {
            "kind": "onprem",
            "domain": "dc1.example.net",
            "network": "10.20.0.0/16",
            "access": access,
            "gpus": gpus,
        }
    }
    data["pools"]["infra"] = {"duty": "mirror", "hosts": "mirror01", "site": "dc1", "addresses": "10.20.0.10"}
    data["pools"]["gpu"] |= {"site": "dc1", "addresses": "10.20.1.1"}
    return make(from_data(data))


def run(plan: Plan) -> Run:
    return next(run for run in plan.runs if run.name == "ethernet_node")


def text(run: Run, host: str, path: str) -> str:
    return next(file.content for file in (*run.files, *run.host_files[host]) if file.path == path)


@pytest.mark.parametrize(
    ("nodes", "wish", "switches", "uplinks"),
    [
        (32, {}, (8, 4, 0), 256),
        (128, {}, (32, 16, 0), 1024),
        (48, {"blocking": 3}, (8, 2, 0), 128),
        (32, {"design": "fat-tree"}, (8, 4, 0), 256),
        (2048, {}, (512, 512, 256), 16384),
    ],
    ids=["a unit", "four units", "3:1", "classic leaves and spines", "three tiers"],
)
def test_leaves_and_spines_are_planned_as_for_infiniband(
    nodes: int, wish: dict[str, Any], switches: tuple[int, int, int], uplinks: int
) -> None:
    found = wired(nodes, **wish)
    assert counts(found) == switches
    assert cables(found) == {
        "node_leaf": nodes * 8,
        "manager": 0,
        "leaf_spine": uplinks,
        "spine_core": uplinks if switches[2] else 0,
    }
    hold(found)


CANNOT = [
    ({"radix": 63}, "63 ports of a switch cannot be halved — take `radix: 62` or 64"),
    ({"blocking": 2}, "cannot be shared out 2:1 — take `blocking: "),
    ({"tiers": 2, "radix": 16}, "tiers of 16-port switches — take 16 nodes at most or `tiers: 3`"),
    ({"network": "10.0.0.0/21"}, r"/21 has no room for 8 switches of 64 ports in a tier — take a network of /20"),
]


@pytest.mark.parametrize(("fabric", "message"), CANNOT)
def test_what_cannot_be_cabled_or_addressed_is_told_with_what_can(fabric: dict[str, Any], message: str) -> None:
    with pytest.raises(PlanError, match=rf"^fabric.*{message}"):
        wired(32, **fabric)


def test_the_network_that_an_error_names_is_the_smallest_that_is_taken() -> None:
    with pytest.raises(PlanError, match="of /20 or wider"):
        wired(32, network="10.0.0.0/21")
    assert wired(32, network="10.0.0.0/20")


def test_every_cable_has_two_addresses_of_its_own_inside_the_network() -> None:
    found = wired(600, radix=32)
    assert found.tiers == 3
    addresses = Addresses(found, "100.64.0.0/10", 4_200_000_000)
    links = [addresses.link(cable) for cable in found.cables]
    every = [end for link in links for end in (link.a, link.b)] + [addresses.own(one) for one in found.switches]
    assert len(set(every)) == len(every)
    assert all(address in IPv4Network("100.64.0.0/10") for address in every)
    assert all(int(link.b) % 2 == 0 and int(link.a) == int(link.b) + 1 for link in links)
    leaves = {leaf.name: addresses.hosts(leaf) for leaf in found.of_tier("leaf")}
    assert all(addresses.link(cable).a in leaves[cable.b] for cable in found.of_layer("node_leaf"))
    assert not any(
        addresses.link(cable).a in network for cable in found.of_layer("leaf_spine") for network in leaves.values()
    )


def test_growth_changes_no_address_of_a_host_or_a_leaf() -> None:
    small, large = wired(31), wired(120)
    few, many = (Addresses(found, "100.64.0.0/10", 4_200_000_000) for found in (small, large))
    later = {(cable.a, cable.b): many.link(cable) for cable in large.of_layer("node_leaf")}
    assert all(later[cable.a, cable.b] == few.link(cable) for cable in small.of_layer("node_leaf"))
    for leaf in small.of_tier("leaf"):
        assert (few.own(leaf), few.asn(leaf), few.hosts(leaf)) == (many.own(leaf), many.asn(leaf), many.hosts(leaf))


def test_a_host_more_changes_nothing_on_the_others() -> None:
    few, more = run(planned(20)), run(planned(21))
    assert {host: more.host_files[host] for host in few.host_files} == few.host_files
    assert (more.files, more.units) == (few.files, few.units)


def test_a_host_gets_a_line_for_each_rail_and_what_nccl_reads() -> None:
    found = run(planned())
    rails = [line.split() for line in text(found, "gpu0002", "/etc/platform-iac/rails").splitlines()]
    assert rails[0] == ["enp24s0np0", "mlx5_0", "100.64.0.3/31", "100.64.0.2", "4901"]
    assert rails[7] == ["enp220s0np0", "mlx5_11", "100.64.3.131/31", "100.64.3.130", "4908"]
    assert text(found, "gpu0002", "/etc/nccl.conf").splitlines() == [
        "NCCL_IB_HCA==mlx5_0:1,mlx5_3:1,mlx5_4:1,mlx5_5:1,mlx5_6:1,mlx5_9:1,mlx5_10:1,mlx5_11:1",
        "NCCL_CROSS_NIC=2",
        "NCCL_IB_GID_INDEX=3",
        "NCCL_IB_SL=3",
        "NCCL_IB_TC=106",
    ]
    settings = dict(
        line.split("=")
        for line in text(found, "gpu0002", "/etc/platform-iac/ethernet.conf").splitlines()
        if "=" in line
    )
    assert settings == {
        "NETWORK": "100.64.0.0/10",
        "MTU": "9000",
        "PRIORITY": "3",
        "DSCP": "26",
        "CNP_PRIORITY": "6",
        "CNP_DSCP": "48",
        "TRAFFIC_CLASS": "106",
        "DCB": "/usr/sbin/dcb",
    }


def test_management_ports_are_in_nothing_that_the_kind_writes() -> None:
    found = run(planned())
    written = "".join(file.content for files in ((found.files), *found.host_files.values()) for file in files)
    assert "eno" not in written
    assert not re.search(r"networkctl|ifup|ifreload|netplan|nmcli|systemctl", written)


def test_ports_that_cannot_be_told_from_management_are_refused() -> None:
    with pytest.raises(PlanError, match=r"pool `gpu` does not say which interfaces its compute ports .* — add"):
        planned(nics=[{key: value for key, value in RAILS.items() if key != "interfaces"}])
    shared = {**MANAGEMENT, "devices": "mlx5_[0,3]", "interfaces": "enp[24,64]s0np0"}
    with pytest.raises(PlanError, match="interface `enp24s0np0` of pool `gpu` is for jobs and for management"):
        planned(nics=[RAILS, shared])
    with pytest.raises(PlanError, match=r"10\.16\.0\.0/12 overlaps 10\.20\.0\.0/16 of site `dc1`"):
        planned(network="10.16.0.0/12")


@pytest.mark.parametrize(
    ("part", "message"),
    [
        ({"lossless": {"cnp_priority": 3}}, "notifications would wait behind the congestion"),
        ({"lossless": {"cnp_dscp": 26}}, "notifications would wait behind the congestion"),
        ({"lossless": {"ecn_from_kb": 2000}}, "marks begin at 2000 kB and are full at 1500"),
        ({"lossless": {"priority": 0}}, "priority"),
        ({"mtu": 9200}, "mtu"),
    ],
)
def test_settings_that_lose_packets_are_refused(part: dict[str, Any], message: str) -> None:
    with pytest.raises(SpecError, match=message):
        from_data(spec(**part))


@pytest.mark.parametrize(
    ("interfaces", "message"),
    [("eth[0-6]", "7 `interfaces` for 8 `devices`"), ("a-[0-7]", "'a-0' is no interface of Linux")],
)
def test_interfaces_are_one_for_each_device_and_names_that_linux_takes(interfaces: str, message: str) -> None:
    with pytest.raises(SpecError, match=message):
        from_data(spec(32, [{**RAILS, "interfaces": interfaces}]))


def test_real_adapters_are_proven_by_sysfs_and_a_twins_doubles_are_not() -> None:
    proofs = {check.name: check for check in planned().checks if check.host == "gpu0001"}
    shown = proofs["8 rails of gpu0001 have their addresses, MTU and PFC"]
    line = "enp24s0np0 mtu 9000 100.64.0.1/31 pfc 3 dscp 26:3 48:6\n"
    assert re.match(shown.expect.removesuffix(r"\Z"), line) is None, "one line of eight is not enough"
    assert re.escape(line) in shown.expect
    assert (
        "/sys/class/infiniband/mlx5_0/device/net/enp24s0np0"
        in proofs["RDMA devices of gpu0001 are those of its rails"].argv
    )
    assert proofs["GID 3 of gpu0001's rails is RoCE v2"].expect == r"\A(RoCE v2\n){8}\Z"
    twin = planned(gpus="simulated")
    assert not [check for check in twin.checks if "/sys/class/infiniband" in str(check.argv)]
    assert [unit.name for unit in run(twin).units] == ["simulated-rails.service", "ethernet-rails.service"]


def test_slurm_places_jobs_by_the_leaves_of_ethernet() -> None:
    data = YAML(typ="safe", pure=True).load(TWIN)
    data["fabric"] = {"kind": "ethernet", "radix": 16}
    data["pools"]["gpu"]["hardware"]["nics"] = [RAILS]
    runs = {run.name: run for run in make(from_data(data)).runs}
    topology = next(file for file in runs["slurm_controller"].files if file.path.endswith("topology.conf"))
    assert "SwitchName=leaf-01-1 Nodes=gpu[01-03]" in topology.content
    assert "ethernet_node" in runs


def switches(found: Fabric, **fabric: Any) -> dict[str, dict[str, Any]]:
    """The configuration of every switch, read back."""
    platform = from_data(spec(32, **fabric))
    exported = ethernet.exports(platform.fabric, Context(platform, hosts(platform), place(found)))
    return {
        path.removeprefix("switches/").removesuffix(".json"): json.loads(text)
        for path, text in exported.items()
        if path.startswith("switches/")
    }


def test_both_ends_of_every_cable_between_switches_agree() -> None:
    found = wired(600, radix=32)
    configured = switches(found)
    assert set(configured) == {switch.name for switch in found.switches}
    owners = {
        key.split("|")[1].removesuffix("/31"): (name, key.split("|")[0])
        for name, tables in configured.items()
        for key in tables["INTERFACE"]
        if "|" in key
    }
    sessions = 0
    for name, tables in configured.items():
        for key, session in tables["BGP_NEIGHBOR"].items():
            far = key.removeprefix("default|")
            peer, _ = owners[far]
            other = configured[peer]["BGP_NEIGHBOR"][f"default|{session['local_addr']}"]
            assert (session["name"], other["name"], other["local_addr"]) == (peer, name, far)
            assert session["asn"] == configured[peer]["BGP_GLOBALS"]["default"]["local_asn"]
            assert session["asn"] != tables["BGP_GLOBALS"]["default"]["local_asn"], "eBGP on every cable"
            assert f"default|{far}|ipv4_unicast" in tables["BGP_NEIGHBOR_AF"]
            assert int(IPv4Address(far)) ^ int(IPv4Address(session["local_addr"])) == 1
            sessions += 1
    assert sessions == 2 * sum(cable.layer != "node_leaf" for cable in found.cables)


def test_a_leaf_has_its_hosts_ports_priorities_and_one_prefix() -> None:
    leaf = switches(wired())["leaf-01-1"]
    assert leaf["PORT"]["Ethernet0"] == {
        "admin_status": "up",
        "description": "gpu0001 mlx5_0",
        "mtu": "9216",
        "speed": "400000",
    }
    assert "Ethernet0|100.64.0.0/31" in leaf["INTERFACE"]
    assert leaf["BGP_GLOBALS_AF_AGGREGATE_ADDR"] == {"default|ipv4_unicast|100.64.0.0/25": {"summary_only": "true"}}
    assert len(leaf["PORT"]) == 64 == len(leaf["CABLE_LENGTH"]["AZURE"])
    assert set(leaf["CABLE_LENGTH"]["AZURE"].values()) <= {"5m", "7m", "10m"}
    for port in leaf["PORT"]:
        quality = leaf["PORT_QOS_MAP"][port]
        assert (quality["pfc_enable"], quality["pfcwd_sw_enable"]) == ("3", "3")
        assert leaf["QUEUE"][f"{port}|3"] == {"scheduler": "scheduler.1", "wred_profile": "AZURE_LOSSLESS"}
        assert leaf["SCHEDULER"][leaf["QUEUE"][f"{port}|6"]["scheduler"]] == {"type": "STRICT"}
        assert leaf["PFC_WD"][port]["action"] == "drop"


def test_priorities_of_switches_are_those_of_hosts() -> None:
    lossless = {"priority": 4, "dscp": 34, "cnp_priority": 7, "cnp_dscp": 56, "ecn_from_kb": 200, "ecn_all_kb": 900}
    spine = switches(wired(lossless=lossless), lossless=lossless)["spine-001"]
    classes = spine["DSCP_TO_TC_MAP"]["AZURE"]
    assert {dscp: priority for dscp, priority in classes.items() if priority != "0"} == {"34": "4", "56": "7"}
    assert len(classes) == 64
    assert spine["TC_TO_PRIORITY_GROUP_MAP"]["AZURE"]["4"] == "4"
    profile = spine["WRED_PROFILE"]["AZURE_LOSSLESS"]
    assert (profile["green_min_threshold"], profile["green_max_threshold"], profile["ecn"]) == (
        "200000",
        "900000",
        "ecn_all",
    )
    conf = text(run(planned(lossless=lossless)), "gpu0001", "/etc/nccl.conf")
    assert "NCCL_IB_TC=138\n" in conf
    assert "BGP_GLOBALS_AF_AGGREGATE_ADDR" not in spine


def test_the_graph_names_ports_as_linux_and_sonic_do() -> None:
    def graph(*nics: dict[str, Any]) -> str:
        platform = from_data(spec(32, list(nics)))
        context = Context(platform, hosts(platform), wire(platform, hosts(platform)))
        return ethernet.exports(platform.fabric, context)["fabric.dot"]

    text = graph(RAILS, MANAGEMENT)
    edges = re.findall(r'^  "(.*)":"(.*)" -- "(.*)":"(.*)"$', text, re.MULTILINE)
    assert ("gpu0002", "enp64s0np0", "leaf-01-2", "Ethernet8") in edges
    assert ("leaf-01-1", "Ethernet256", "spine-001", "Ethernet0") in edges
    for name, tables in switches(wired()).items():
        own = {edge[at + 1] for edge in edges for at in (0, 2) if edge[at] == name}
        assert own == tables["PORT"].keys()
    unnamed = {key: value for key, value in RAILS.items() if key != "interfaces"}
    assert '"gpu0001":"mlx5_0" -- "leaf-01-1":"Ethernet0"' in graph(unnamed)


def test_a_leaf_with_cables_of_two_rates_has_a_name_for_each_port() -> None:
    data = spec(8, unit=32, pools=["gpu", "stor"])
    slow = {**RAILS, "purpose": "storage", "devices": "mlx5_0", "interfaces": "enp24s0np0", "rate_gbps": 200}
    hardware = {"like": "nvme-server", "nics": [slow]}
    data["pools"]["stor"] = {"duty": "storage", "hosts": "stor[01-40]", "hardware": hardware}
    platform = from_data(data)
    found = wire(platform, hosts(platform))
    assert found is not None
    context = Context(platform, hosts(platform), place(found))
    texts = {path: text for path, text in ethernet.exports(platform.fabric, context).items() if "switches/" in path}
    cables = Counter(end for cable in found.cables for end in (cable.a, cable.b))
    for path, text in texts.items():
        tables = json.loads(text)
        name = tables["DEVICE_METADATA"]["localhost"]["hostname"]
        assert len(tables["PORT"]) == cables[name], path
        assert {int(port.removeprefix("Ethernet")) % 8 for port in tables["PORT"]} == {0}
        assert sum("|" in key for key in tables["INTERFACE"]) == cables[name]
    assert {port["speed"] for text in texts.values() for port in json.loads(text)["PORT"].values()} == {
        "200000",
        "400000",
    }


@pytest.mark.parametrize(("rate", "lanes", "second"), [(400, None, 8), (100, None, 4), (800, 4, 4)])
def test_ports_are_counted_by_lanes(rate: int, lanes: int | None, second: int) -> None:
    platform = from_data(spec(32, [{**RAILS, "rate_gbps": rate}], **({"lanes": lanes} if lanes else {})))
    found = wire(platform, hosts(platform))
    assert found is not None
    leaf = json.loads(
        ethernet.exports(platform.fabric, Context(platform, hosts(platform), place(found)))["switches/leaf-01-1.json"]
    )
    assert list(leaf["PORT"])[1] == f"Ethernet{second}"
