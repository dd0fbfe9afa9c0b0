"""Kind `scratch`: the nodes' own disks."""

from __future__ import annotations

import pytest

from platform_iac.plan.context import PlanError
from platform_iac.plan.make import make
from platform_iac.plan.model import Plan, Run
from platform_iac.spec.load import loads

SPEC = """
apiVersion: platform-iac/v1
name: small
sites:
  lab: {kind: lab, domain: lab.example.net, network: 10.77.0.0/24}
pools:
  ctl: {site: lab, duty: controller, hosts: ctl01, addresses: 10.77.0.11}
  gpu: {site: lab, duty: compute, hosts: "gpu[01-02]", addresses: 10.77.0.21, hardware: dgx-h100}
  cpu: {site: lab, duty: compute, hosts: cpu01, addresses: 10.77.0.31}
scheduler: {kind: slurm, partitions: {all: {pools: [gpu, cpu], default: true, max_time: 1-00:00:00}}}
storage:
  scratch: {kind: scratch, pools: [gpu]}
"""


def plan(text: str = SPEC) -> Plan:
    return make(loads(text))


def run(made: Plan, name: str) -> Run:
    return next(run for run in made.runs if run.name == name)


def test_each_node_knows_its_own_disks_again() -> None:
    arrays = {host: own["array"] for host, own in run(plan(), "scratch").host_vars.items()}
    assert {array["level"] for array in arrays.values()} == {"raid0"}
    assert {(array["kind"], array["count"], array["size_gb"]) for array in arrays.values()} == {("nvme", 8, 3840)}
    assert len({array["filesystem_uuid"] for array in arrays.values()}) == 2
    assert arrays == {host: own["array"] for host, own in run(plan(), "scratch").host_vars.items()}


def test_jobs_have_their_folders_on_it_where_a_node_has_it() -> None:
    own = run(plan(), "slurm_node").host_files
    prolog = {
        host: next(file.content for file in files if file.path.endswith("slurm-prolog")) for host, files in own.items()
    }
    assert "jobs=/scratch/.jobs" in prolog["gpu01"]
    assert "jobs=/var/lib/platform-iac/jobs" in prolog["cpu01"]


def test_slurmd_waits_for_it_and_the_health_check_asks_for_it() -> None:
    made = plan()
    names = [run.name for run in made.runs]
    assert names.index("scratch") < names.index("slurm_node")
    health = next(
        file for file in run(made, "slurm_node").host_files["gpu01"] if file.path.endswith("node-health.json")
    )
    assert '"path": "/scratch"' in health.content


def test_what_is_read_counts_as_touched_to_the_day() -> None:
    made = run(plan(SPEC.replace("pools: [gpu]}\n", "pools: [gpu], days: 3}\n")), "scratch")
    unit = next(file.content for file in made.host_files["gpu01"] if file.path.endswith("scratch.mount"))
    options = next(line for line in unit.splitlines() if line.startswith("Options="))
    assert options == "Options=relatime,nodev,nosuid"
    sweep = next(file.content for file in made.files if file.path == "/etc/tmpfiles.d/scratch.conf")
    # What was read is noted once in 24 hours: a file may have been read a day after the time that it shows.
    assert "d /scratch 1777 root root 4d" in sweep.splitlines()


@pytest.mark.parametrize(
    ("pools", "message"),
    [
        ("cpu", "cpu01 has no data disks — give its `hardware` one entry of `purpose: data`"),
        ("ctl", "pool `ctl` has `duty: controller` — name pools with `duty: compute`"),
    ],
)
def test_pools_without_disks_or_jobs_are_refused(pools: str, message: str) -> None:
    with pytest.raises(PlanError, match=message):
        plan(SPEC.replace("pools: [gpu]}\n", f"pools: [{pools}]}}\n"))
