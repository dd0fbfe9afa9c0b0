"""What hosts of an InfiniBand fabric get besides what NCCL reads: IP over partitions, GPUDirect, SHARP, lanes."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest

from platform_iac.kinds.fabric import _lanes, _node, _ufm, infiniband
from platform_iac.kinds.fabric._partitions import Partition
from platform_iac.plan.context import Context, PlanError
from platform_iac.plan.make import hosts, make, wire
from platform_iac.plan.model import Run
from platform_iac.plan.render import render
from platform_iac.spec.errors import SpecError
from platform_iac.spec.load import from_data

NETWORK = "10.30.0.0/24"
ACCESS = {"ssh_config": "/none/ssh_config", "known_hosts": "/none/known_hosts"}


def planned(kind: str = "onprem", /, partition: dict[str, Any] | None = None, **fabric: Any) -> Run:
    """The run on two nodes at 10.20.0.21; `partition` is the one called `storage`."""
    site = {"kind": kind, "domain": "dc1.example.net", "network": "10.20.0.0/24"}
    if kind == "onprem":
        site["access"] = ACCESS  # type: ignore[assignment]
    manager = {"partitions": {"storage": {"pkey": 16, "ipoib": True, "network": NETWORK, **(partition or {})}}}
    data = {
        "apiVersion": "platform-iac/v1",
        "name": "falcon",
        "sites": {"dc1": site},
        "fabric": {"kind": "infiniband", "manager": manager, **fabric},
        "pools": {
            "gpu": {
                "site": "dc1",
                "duty": "compute",
                "hosts": "gpu[01-02]",
                "addresses": "10.20.0.21",
                "hardware": "dgx-h100",
            }
        },
    }
    return next(run for run in make(from_data(data)).runs if run.name == "infiniband_node")


def text(run: Run, host: str, path: str) -> str:
    return next(file.content for file in (*run.files, *run.host_files[host]) if file.path == path)


def test_a_host_has_the_same_number_on_the_fabric_as_at_its_site() -> None:
    run = planned()
    assert text(run, "gpu02", _node.LIST) == "ib-0010 mlx5_0 0x8010 4092 10.30.0.22/24\n"
    assert text(planned(partition={"mtu": 2048}), "gpu01", _node.LIST).split()[3] == "2044"
    (unit,) = run.units
    assert unit.running
    assert unit.reload_on == (_node.LIST, _node.PROGRAM)


def test_a_twin_has_the_files_and_runs_neither_ip_nor_modules() -> None:
    run = planned("lab")
    assert text(run, "gpu01", _node.LIST).startswith("ib-0010 ")
    assert [unit.running for unit in run.units] == [False]
    assert (run.vars, run.host_vars) == ({}, {})


def test_adapters_reach_the_memory_of_gpus_and_keep_their_kernel_names() -> None:
    run = planned()
    assert text(run, "gpu01", "/etc/modules-load.d/platform-infiniband.conf") == "nvidia-peermem\n"
    assert run.vars == {"modules": ["nvidia-peermem"]}
    assert 'PROGRAM="rdma_rename %k NAME_KERNEL"' in text(run, "gpu01", _node.NAMING)


@pytest.mark.parametrize(
    ("network", "message"),
    [
        ("10.20.0.0/16", r"network: 10.20.0.0/16 overlaps 10.20.0.0/24 of site `dc1` — take another"),
        ("10.30.0.0/28", r"gpu01 is host 21 of its site, and 10.30.0.0/28 has no such host — take a /24"),
    ],
)
def test_a_network_that_does_not_fit_is_told(network: str, message: str) -> None:
    with pytest.raises(PlanError, match=message):
        planned(partition={"network": network})


@pytest.mark.parametrize("other", [{"ipoib": False}, {"members": "limited"}])
def test_a_network_whose_members_cannot_use_it_is_refused(other: dict[str, Any]) -> None:
    with pytest.raises(SpecError, match="or leave `network` out"):
        planned(partition=other)


def test_sharp_is_told_to_jobs_where_ufm_has_an_aggregation_manager() -> None:
    with pytest.raises(PlanError, match=r"sharp: opensm has no aggregation manager, UFM has — take `manager: "):
        planned(sharp=True)
    said = text(planned(sharp=True, manager={"kind": "ufm"}), "gpu01", "/etc/nccl.conf")
    assert "NCCL_COLLNET_ENABLE=1\n" in said
    with pytest.raises(PlanError, match="a leaf aggregates one rail"):
        planned(sharp=True, manager={"kind": "ufm"}, design="fat-tree")


def test_every_level_of_the_spec_has_a_lane_with_its_weight() -> None:
    found = _lanes.options([Partition(pkey=1), Partition(pkey=2, sl=3, weight=96), Partition(pkey=3, sl=3, weight=8)])
    assert found["qos_vlarb_low"] == "0:32,1:96"
    assert found["qos_sl2vl"] == "0,0,0,1,0,0,0,0,0,0,0,0,0,0,0,0"
    assert found["qos_max_vls"] == "2"


def test_ufm_is_told_the_partitions_and_owns_its_files() -> None:
    ports = [f"b83fd203009a{number:04x}" for number in range(1, 9)]
    data = {
        "apiVersion": "platform-iac/v1",
        "name": "falcon",
        "fabric": {
            "kind": "infiniband",
            "guids": {"gpu01": ports},
            "manager": {"kind": "ufm", "partitions": {"storage": {"pkey": 16, "members": "limited"}}},
        },
        "pools": {"gpu": {"duty": "compute", "hosts": "gpu[01-02]", "hardware": "dgx-h100"}},
    }
    platform = from_data(data)
    context = Context(platform, hosts(platform), wire(platform, hosts(platform)))
    jobs, storage = json.loads(infiniband.exports(platform.fabric, context)[_ufm.FILE])
    assert (jobs["method"], jobs["path"]) == ("PUT", "/ufmRest/resources/pkeys")
    first = {"pkey": "0x1", "index0": True, "ip_over_ib": False, "membership": "full", "guids": ports}
    assert jobs["body"] == first
    assert jobs["missing"][0] == "gpu02 mlx5_0"
    assert storage["body"] == {**first, "pkey": "0x10", "index0": False, "membership": "limited"}


IP = """#!/bin/sh
# In the place of iproute2: says what it is told, and makes the interface's folder.
case "$*" in
  *"address show"*) [ ! -e "$IPOIB_SYS/address" ] || echo "9: ib-0010 inet $(cat "$IPOIB_SYS/address") scope global" ;;
  *) echo "$*" >>"$IPOIB_SYS/said" ;;
esac
case "$*" in "link add"*) mkdir -p "$IPOIB_SYS/net/ib-0010" ;; esac
"""


def test_the_program_makes_a_child_of_the_adapters_own_interface_and_moves_its_address(tmp_path: Path) -> None:
    own = tmp_path / "sys" / "infiniband" / "mlx5_0" / "device" / "net"
    for name, index, link in (("ib-0010", 9, 4), ("ibp26s0", 4, 4)):
        (own / name).mkdir(parents=True)
        (own / name / "ifindex").write_text(f"{index}\n")
        (own / name / "iflink").write_text(f"{link}\n")
    for name, content in (("ip", IP), ("ipoib", render("infiniband_node", "ipoib"))):
        (tmp_path / name).write_text(content)
        (tmp_path / name).chmod(0o755)
    (tmp_path / "list").write_text("ib-0010 mlx5_0 0x8010 4092 10.30.0.22/24\n")
    environment = {
        "PATH": f"{tmp_path}:/usr/bin:/bin",
        "IPOIB_LIST": str(tmp_path / "list"),
        "IPOIB_MADE": str(tmp_path / "made"),
        "IPOIB_SYS": str(tmp_path / "sys"),
    }

    def told(*argv: str) -> list[str]:
        (tmp_path / "sys" / "said").write_text("")
        subprocess.run(["ipoib", *argv], env=environment, check=True, timeout=30, capture_output=True)
        return (tmp_path / "sys" / "said").read_text().splitlines()

    assert told("up") == [
        "link set dev ibp26s0 up",
        "link add link ibp26s0 name ib-0010 type ipoib pkey 0x8010 mode datagram",
        "address replace 10.30.0.22/24 dev ib-0010",
        "link set dev ib-0010 mtu 4092 up",
    ]
    (tmp_path / "sys" / "address").write_text("10.30.0.9/24")
    assert told("up")[1:3] == ["address del 10.30.0.9/24 dev ib-0010", "address replace 10.30.0.22/24 dev ib-0010"]
    (tmp_path / "list").write_text("")
    assert told("up") == ["link del ib-0010"]
