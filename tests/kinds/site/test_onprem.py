"""Site `onprem`: hosts that exist already, with real GPUs."""

from __future__ import annotations

import pytest

from platform_iac.plan.context import PlanError
from platform_iac.plan.make import make
from platform_iac.plan.model import Plan, Run
from platform_iac.spec.load import loads

ACCESS = "access: {ssh_config: stacks/falcon.ssh_config, known_hosts: stacks/falcon.known_hosts}"
SPEC = f"""
apiVersion: platform-iac/v1
name: metal
sites:
  dc1: {{kind: onprem, domain: dc1.example.net, network: 10.20.0.0/16, time_servers: [10.20.0.5], {ACCESS}}}
pools:
  login: {{site: dc1, duty: login, hosts: login01, addresses: 10.20.0.12}}
  dgx: {{site: dc1, duty: edge, hosts: "dgx[01-02]", addresses: 10.20.0.21, hardware: dgx-h100}}
  l40: {{site: dc1, duty: edge, hosts: l40s01, addresses: 10.20.0.31, hardware: gpu-server}}
"""
SECOND = f"""
  dc2: {{kind: onprem, domain: dc2.example.net, network: 10.30.0.0/16, {ACCESS}, gpus: MODE}}
pools:
  infra: {{site: dc2, duty: mirror, hosts: mirror02, addresses: 10.30.0.10}}
  more: {{site: dc2, duty: edge, hosts: "far[01-02]", addresses: 10.30.0.21, hardware: dgx-h100}}
"""


@pytest.fixture(scope="module")
def plan() -> Plan:
    return make(loads(SPEC))


def run(plan: Plan, name: str) -> Run:
    return next(run for run in plan.runs if run.name == name)


def test_without_a_mirror_package_sources_are_left_alone(plan: Plan) -> None:
    assert "mirror" not in {run.name for run in plan.runs}
    assert not [file.path for file in run(plan, "base").files if file.path.startswith("/etc/apt")]
    assert not any("mirror" in check.name for check in plan.checks)


def test_hosts_ask_the_sites_time_servers_and_may_set_the_clock(plan: Plan) -> None:
    texts = {file.path: file.content for file in run(plan, "base").files}
    assert "server 10.20.0.5 iburst\n" in texts["/etc/chrony/chrony.conf"]
    assert "rtcsync\n" in texts["/etc/chrony/chrony.conf"]
    assert 'DAEMON_OPTS="-F 1"' in texts["/etc/default/chrony"]
    assert "/etc/systemd/system/chrony.service.d/platform.conf" not in texts
    assert "* - memlock unlimited\n" in texts["/etc/security/limits.d/90-platform.conf"]


def test_real_gpus_get_the_driver_and_the_fabric_manager_where_nvswitch_is(plan: Plan) -> None:
    gpu = run(plan, "gpu")
    assert gpu.vars == {"driver": "nvidia"}
    assert {"nvidia-driver", "nvidia-fabricmanager-535"} <= set(gpu.packages)
    assert {host: given["nvswitch"] for host, given in gpu.host_vars.items()} == {
        "dgx01": True,
        "dgx02": True,
        "l40s01": False,
    }
    assert "blacklist nouveau\n" in {file.path: file.content for file in gpu.files}["/etc/modprobe.d/platform-gpu.conf"]


def test_without_nvswitch_no_fabric_manager_is_installed() -> None:
    plan = make(loads(SPEC.replace("hardware: dgx-h100", "hardware: gpu-server")))
    assert "nvidia-fabricmanager-535" not in run(plan, "gpu").packages


def two_sites(mode: str) -> Plan:
    head, pools = SPEC.split("pools:\n")
    second_site, second_pools = SECOND.split("pools:\n")
    return make(loads(head + second_site.lstrip("\n").replace("MODE", mode) + "pools:\n" + pools + second_pools))


def test_two_sites_share_each_run_and_keep_what_differs_with_the_host() -> None:
    plan = two_sites("nvidia")
    base = run(plan, "base")
    own = {host: {file.path for file in files} for host, files in base.host_files.items()}
    assert own["far01"] - own["dgx01"] == {"/etc/apt/apt.conf.d/20platform", "/etc/apt/platform.sources"}
    assert base.host_vars["far01"] == {"mirror": "http://mirror02"}
    assert "dgx01" not in base.host_vars
    assert len([run for run in plan.runs if run.name == "gpu"]) == 1


def test_real_and_simulated_gpus_do_not_mix() -> None:
    with pytest.raises(PlanError, match="`gpus: simulated`"):
        two_sites("simulated")
