"""A node more: it and the files that name it change, nothing else is touched. A node less: it is gone."""

from __future__ import annotations

import pytest

from tests.twin import logins
from tests.twin.acceptance.conftest import TEST_SECONDS, UP_SECONDS
from tests.twin.specs import Overlay
from tests.twin.stack import Stack, wait

pytestmark = [pytest.mark.twin, pytest.mark.timeout(TEST_SECONDS)]

NEW = "gpu04"
NAME_IT = {
    "fabric_simulator": {'files["/etc/platform-iac/fabric.net"].content'},
    "infiniband_manager": {'files["/etc/opensm/partitions.conf"].content'},
    "slurm_controller": {
        *(f'files["/etc/slurm/{name}"].content' for name in ("slurm.conf", "gres.conf", "topology.conf")),
    },
    "slurm_login": {f'files["/etc/slurm/{name}"].content' for name in ("slurm.conf", "topology.conf")},
}
"""Roles on other hosts, and the files of theirs that name every node."""
HOSTS = {"ctl01", "login01", "mirror01", "mgr01"}
"""The hosts of these roles; the fabric's manager among them, and the one that plays the fabric."""


@pytest.fixture
def four(running: Stack, spec: Overlay) -> Stack:
    """The stack with one node more in its spec."""
    spec.set(pools={"gpu": {"hosts": "gpu[01-04]"}})
    return running


def test_the_preview_touches_the_new_node_and_the_files_that_name_it(four: Stack) -> None:
    steps = four.preview()
    created = {step["name"] for step in steps if step["op"] == "create"}
    assert created == {f"{four.lab}-{NEW}"}
    updated = {step["name"]: set(step["detailedDiff"]) for step in steps if step["op"] == "update"}
    elsewhere = {name: {path for path in paths if NEW not in path} for name, paths in updated.items()}
    assert {name: paths for name, paths in elsewhere.items() if paths} == {four.lab: {"hosts"}, **NAME_IT}
    assert len(steps) == len(created) + len(updated)


def test_up_reaches_only_the_new_node_and_the_hosts_whose_files_name_it(four: Stack) -> None:
    moment = logins.now()
    four.up(timeout=UP_SECONDS)
    assert set(logins.since(four.lab, four.hosts, moment)) == {*HOSTS, NEW}
    four.nothing_to_do()


def test_slurm_gives_jobs_to_the_new_node(four: Stack) -> None:
    def idle() -> bool:
        said = four.ok("ctl01", f"sinfo -hN -n {NEW} -o '%T %G'").split()
        return bool(said) and said[0] == "idle" and said[1].startswith("gpu:h100:4")

    wait(idle, 90, f"{NEW} to be idle with four GPUs: {four.ok('ctl01', f'scontrol show node {NEW}')}")
    said = four.ok("login01", f"runuser -l alice -c 'srun -w {NEW} --gres=gpu:h100:1 -t 1 nvidia-smi -L'")
    assert said.count("GPU 0:") == 1
    assert "GPU 1:" not in said


def test_a_node_with_a_job_stays_whole(running: Stack, spec: Overlay) -> None:
    ask = "squeue --noheader --nodelist={} --format='%i %u %T'"
    running.ok("login01", f"runuser -l alice -c 'sbatch -w {NEW} -t 5 -o /dev/null --wrap \"sleep 300\"'")
    wait(lambda: "RUNNING" in running.ok("ctl01", ask.format(NEW)), 60, f"a job on {NEW}")
    job = running.ok("ctl01", ask.format(NEW)).split()[0]
    spec.set(pools={"gpu": {"hosts": "gpu[01-03]"}})
    refused = running.run("up", "--yes", "--skip-preview", timeout=UP_SECONDS)
    assert refused.rc != 0
    said = " ".join(refused.output.split())
    assert f"jobs are on {NEW}: {job} of alice — `scontrol update nodename={NEW} state=drain " in said, said[-4000:]
    assert "gpu[01-04]" in running.ok("ctl01", "grep ^NodeName= /etc/slurm/slurm.conf")
    assert running.ok("ctl01", ask.format(NEW)).split() == [job, "alice", "RUNNING"]
    inside = running.ok("login01", f"runuser -l alice -c 'srun --jobid={job} --overlap id -un'")
    assert inside.strip() == "alice", "the node has its daemons, its key and its accounts"
    running.ok("ctl01", f"scancel {job}")
    wait(lambda: not running.ok("ctl01", ask.format(NEW)), 60, f"{NEW} to be without jobs")


def test_without_it_in_the_spec_it_is_torn_down_and_gone(running: Stack, spec: Overlay) -> None:
    spec.set(pools={"gpu": {"hosts": "gpu[01-03]"}})
    moment = logins.now()
    running.up(timeout=UP_SECONDS)
    assert set(logins.since(running.lab, running.hosts, moment)) == HOSTS
    state = running.home / "state" / "platform-iac" / "labs" / running.lab / "machines" / NEW
    assert not state.exists()
    assert f"{running.lab}-{NEW}" not in running.resources()
    assert NEW not in running.ok("ctl01", "sinfo -hN -o %N").split()
    running.nothing_to_do()
