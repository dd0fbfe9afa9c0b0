"""Which partition comes first in a port's table: that of its jobs, whatever others are called."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest

from platform_iac.kinds.fabric import _partitions, _subnet, _ufm, infiniband
from platform_iac.plan.context import Context, PlanError
from platform_iac.plan.make import hosts, make, wire
from platform_iac.plan.model import Plan
from platform_iac.spec.load import from_data

NICS = [{"kind": "infiniband", "purpose": "compute", "product": "NDR", "devices": "mlx5_0", "rate_gbps": 400}]
SOME = {"pkey": 16, "pools": ["gpu"]}


def spec(partitions: dict[str, Any], *, teams: bool = False, **manager: Any) -> dict[str, Any]:
    """Two pools of nodes and a manager on the twin; with `teams` the first pool is for `vision` alone."""

    def pool(duty: str, host: str, last: int, hardware: Any) -> dict[str, Any]:
        return {"site": "lab", "duty": duty, "hosts": host, "addresses": f"10.0.0.{last}", "hardware": hardware}

    data: dict[str, Any] = {
        "apiVersion": "platform-iac/v1",
        "name": "falcon",
        "sites": {"lab": {"kind": "lab", "domain": "lab.example.net", "network": "10.0.0.0/24"}},
        "fabric": {"kind": "infiniband", "radix": 8, "manager": {"partitions": partitions, **manager}},
        "pools": {
            "infra": pool("mirror", "mirror01", 10, "cpu-server"),
            "ctl": pool("controller", "ctl01", 11, "cpu-server"),
            "login": pool("login", "login01", 12, "cpu-server"),
            "gpu": pool("compute", "gpu[01-02]", 21, "gpu-server"),
            "gpub": pool("compute", "gpub[01-02]", 31, "gpu-server"),
            "mgr": pool("manager", "mgr01", 14, {"nics": NICS}),
        },
    }
    if teams:
        data["teams"] = {"vision": {"members": {"alice": {"uid": 20001}}}}
        own = {"pools": ["gpu"], "teams": ["vision"]}
        data["scheduler"] = {"kind": "slurm", "partitions": {"own": own, "all": {"pools": ["gpub"], "default": True}}}
    return data


def planned(partitions: dict[str, Any], **more: Any) -> Plan:
    return make(from_data(spec(partitions, **more)))


def first(plan: Plan) -> dict[str, set[str]]:
    """The partitions that the manager's file puts first in a host's tables, by host."""
    run = next(run for run in plan.runs if run.name == _subnet.ROLE)
    text = next(file.content for file in run.files if file.path == _subnet.PARTITIONS)
    assert plan.fabric is not None
    owners = {f"0x{port.guid}": port.host for port in plan.fabric.adapters}
    found: dict[str, set[str]] = {}
    for name, flags, members in re.findall(r"^(\w+)=\w+(\S*) : (.*) ;$", text, re.MULTILINE):
        if "indx0" in flags.split(","):
            for member in members.split(", "):
                guid, _, how = member.partition("=")
                assert how == "full"
                found.setdefault(owners[guid], set()).add(name)
    return found


NODES = {"gpu01", "gpu02", "gpub01", "gpub02"}


@pytest.mark.parametrize("name", ["archive", "storage", "zoo"])
@pytest.mark.parametrize("partition", [SOME, {"pkey": 16}, {"pkey": 16, "members": "limited"}])
def test_jobs_partition_leads_whatever_others_are_called(name: str, partition: dict[str, Any]) -> None:
    assert first(planned({name: partition})) == {host: {"platform"} for host in NODES}


def test_a_teams_partition_leads_on_its_hosts_and_platform_on_the_others() -> None:
    found = first(planned({"archive": {"pkey": 16}}, teams=True))
    assert found == {host: {"platform" if "gpub" in host else "vision"} for host in NODES}


def test_the_check_of_memberships_wants_jobs_key_first() -> None:
    plan = planned({"archive": {"pkey": 16}})
    proofs = {check.name: check for check in plan.checks if "in its partitions" in check.name}
    said = "   0: {} 0x0000\n   8: 0x0000 0x0000\n128 pkeys capacity for this port\n"
    gpu, manager = (proofs[f"{host} is in its partitions and in no other"].expect for host in ("gpu01", "mgr01"))
    assert re.search(gpu, said.format("0x8001 0x7fff 0x8010"), re.MULTILINE)
    assert re.search(gpu, said.format("0x8001 0x8010 0x7fff"), re.MULTILINE)
    assert not re.search(gpu, said.format("0x8010 0x7fff 0x8001"), re.MULTILINE)
    assert not re.search(gpu, said.format("0x8001 0x7fff"), re.MULTILINE)
    assert not re.search(gpu, said.format("0x8001 0x7fff 0x8010 0x8011"), re.MULTILINE)
    assert re.search(manager, said.format("0xffff 0x0000"), re.MULTILINE)
    assert not re.search(manager, said.format("0x7fff 0x0000"), re.MULTILINE)


def test_managers_are_in_partitions_of_all_adapters_where_a_guid_is_not_known() -> None:
    data = spec({})
    data["sites"]["lab"] = {
        "kind": "onprem",
        "domain": "lab.example.net",
        "network": "10.0.0.0/24",
        "access": {"ssh_config": "/none/ssh_config", "known_hosts": "/none/known_hosts"},
    }
    platform = from_data(data)
    context = Context(platform, hosts(platform), wire(platform, hosts(platform)))
    assert context.fabric is not None
    partitions = _partitions.planned({}, context)
    _, rule = _partitions.rules(partitions, context.fabric, context)
    assert rule == "platform=0x0001,indx0 : ALL_CAS=full ;"
    assert _partitions.keys(partitions, context.fabric, context)["mgr01 mlx5_0"] == {0xFFFF, 0x8001}
    assert _partitions.first(partitions, context.fabric, context)["mgr01 mlx5_0"] == 0x8001


def test_ufm_is_told_the_same() -> None:
    platform = from_data(spec({"archive": SOME}, kind="ufm"))
    context = Context(platform, hosts(platform), wire(platform, hosts(platform)))
    requests = json.loads(infiniband.exports(platform.fabric, context)[_ufm.FILE])
    assert {one["partition"]: one["body"]["index0"] for one in requests} == {"archive": False, "platform": True}


def test_jobs_partition_may_carry_more_and_keeps_its_members() -> None:
    plan = planned({"platform": {"pkey": 1, "sl": 2}, "vision": {"pkey": 0x20}}, teams=True)
    assert first(plan) == {host: {"platform" if "gpub" in host else "vision"} for host in NODES}


@pytest.mark.parametrize(
    ("partition", "message"),
    [
        ({"pkey": 1, "members": "limited"}, "jobs run in it, and limited members .* — take `members: full`, or an"),
        ({"pkey": 1, "pools": ["gpub"]}, "jobs run in it, on pools infra, ctl, login, gpu, gpub — leave `pools` out"),
    ],
)
def test_jobs_partition_is_not_given_in_a_way_that_leaves_jobs_out(partition: dict[str, Any], message: str) -> None:
    with pytest.raises(PlanError, match=rf"^fabric\.partitions\.platform: {message}"):
        planned({"platform": partition})
