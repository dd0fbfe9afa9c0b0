"""Roles of Slurm on machines: the acceptance of each, and that its walls hold."""

from __future__ import annotations

import re
import shlex
import time
from collections.abc import Iterator
from dataclasses import replace
from unittest.mock import patch

import pytest

from platform_iac.fabric.model import Fabric
from platform_iac.lab import gpus, machine
from platform_iac.plan.make import make
from platform_iac.plan.model import Plan
from platform_iac.spec.load import loads
from tests.fabric.handmade import fabric
from tests.twin_support import machines
from tests.twin_support.acceptance import accept, unchanged
from tests.twin_support.ansible import play, up_to
from tests.twin_support.machines import Lab

pytestmark = [pytest.mark.twin, pytest.mark.timeout(900)]

SPEC = """
apiVersion: platform-iac/v1
name: roleslurm
sites:
  lab: {kind: lab, domain: lab.example.net, network: 10.84.0.0/24}
pools:
  infra: {site: lab, duty: mirror, hosts: mirror01, addresses: 10.84.0.10}
  ctl: {site: lab, duty: controller, hosts: ctl01, addresses: 10.84.0.11}
  login: {site: lab, duty: login, hosts: login01, addresses: 10.84.0.12}
  gpu:
    site: lab
    duty: compute
    hosts: gpu01
    addresses: 10.84.0.21
    hardware:
      like: dgx-h100
      sockets: 1
      cores_per_socket: 4
      threads_per_core: 1
      memory_gib: 4
      accelerators:
        - {kind: gpu, model: h100, product: NVIDIA H100 80GB HBM3, count: 4, memory_gib: 80}
scheduler:
  kind: slurm
  health: {interval_seconds: 10}
  partitions:
    gpu: {pools: [gpu], default: true}
  qos:
    normal: {priority: 100}
    small: {priority: 10, max_gpus_per_user: 1}
teams:
  vision: {share: 60, gpus: 2, members: {alice: {uid: 20001}}}
  language: {share: 40, members: {bob: {uid: 20002}}}
"""

HEALTH = "/usr/local/libexec/platform-iac/node-health"

# Debian's packages keep their accounts when they go.
ACCOUNTS = r"(user|group) (munge|slurm|mysql)"

# MariaDB brings gawk, and apt keeps it: it is an `awk`, and an essential package asks for one.
AWK = r"package ii  (gawk|libmpfr6|libsigsegv2)|file /(etc/profile\.d|usr/bin)/gawk.*"

OF_THE_RUNNING_ONE = ("SlurmctldPort=", "StateSaveLocation=", "SlurmctldPidFile=", "SlurmctldLogFile=", "Accounting")
"""Settings of slurm.conf that two controllers on one host cannot share."""

OPEN = """
for i in 0 1 2 3; do
  python3 -c 'import errno,os,sys
try: os.open(sys.argv[1], os.O_RDWR)
except OSError as error: print(errno.errorcode[error.errno])' /dev/nvidia$i
done
"""


@pytest.fixture(scope="module")
def lab() -> Iterator[Lab]:
    with machines.lab(SPEC) as made:
        up_to(made, "munge")
        yield made


@pytest.fixture
def nodes(lab: Lab) -> Lab:
    """The lab with its node idle."""
    wait(lab, "idle")
    return lab


def wait(lab: Lab, state: str, *, seconds: int = 90) -> None:
    """Wait until the node is in a state."""
    until = time.monotonic() + seconds
    while True:
        said = lab.ok("ctl01", "sinfo --noheader --exact --Node --nodes=gpu01 --format=%T:%E").strip()
        if said.split(":")[0] == state:
            return
        assert time.monotonic() < until, f"not {state}: {said}"
        time.sleep(1)


def reason(lab: Lab) -> str:
    return lab.ok("ctl01", "sinfo --noheader --exact --nodes=gpu01 --format=%E").strip()


def over(spec: str, wired: Fabric) -> Plan:
    """The plan of a spec as if its fabric were this one."""
    with patch("platform_iac.plan.make.wire", return_value=wired):
        return make(loads(spec))


def put(lab: Lab, host: str, path: str, text: str) -> None:
    """Write a file on a host; longer texts than an argument may be go in pieces."""
    lab.ok(host, f": > {path}")
    for start in range(0, len(text), 60_000):
        lab.ok(host, f"printf %s {shlex.quote(text[start : start + 60_000])} >> {path}")


def test_munge_passes_the_acceptance(lab: Lab) -> None:
    accept(lab, "munge", stays=ACCOUNTS)


def test_the_accounting_database_passes_the_acceptance(lab: Lab) -> None:
    accept(lab, "slurm_database", stays=rf"{ACCOUNTS}|{AWK}")


def test_the_controller_passes_the_acceptance(lab: Lab) -> None:
    # Accounting records are the database's, and outlive the controller.
    accept(lab, "slurm_controller", stays=rf"{ACCOUNTS}|file /var/lib/mysql/slurm_acct_db/.*")


def test_the_commands_pass_the_acceptance(lab: Lab) -> None:
    accept(lab, "slurm_login", stays=ACCOUNTS)


def test_the_nodes_pass_the_acceptance(lab: Lab) -> None:
    accept(lab, "slurm_node", stays=ACCOUNTS)


def test_every_check_of_the_plan_passes(nodes: Lab) -> None:
    for check in nodes.plan.checks:
        command = " ".join(f"'{word}'" for word in check.argv)
        said = nodes.ok(check.host, command, timeout=check.timeout_seconds)
        assert re.search(check.expect, said, re.MULTILINE), f"{check.name}: {said}"


def test_the_database_knows_slurm_by_its_socket_and_is_not_on_the_network(nodes: Lab) -> None:
    assert "slurm_acct_db" in nodes.ok("ctl01", "runuser -u slurm -- mariadb -e 'show databases'")
    assert "Access denied" in nodes.run("ctl01", "runuser -u nobody -- mariadb -u slurm -e 'select 1'").text
    assert ":3306" not in nodes.ok("ctl01", "ss -Hltn")


def test_a_job_may_open_its_own_gpus_and_no_other(nodes: Lab) -> None:
    nodes.ok("login01", f"cat > /tmp/open.sh <<'END'\n{OPEN}\nEND")
    lines = nodes.ok(
        "login01", "srun --chdir=/ --gres=gpu:h100:2 sh -s < /tmp/open.sh", user="alice"
    ).split()  # fmt: skip
    assert lines == ["ENXIO", "ENXIO", "EPERM", "EPERM"], "allowed ones have no driver, the others are forbidden"


def test_a_job_without_gpus_may_open_none(nodes: Lab) -> None:
    lines = nodes.ok("login01", "srun --chdir=/ sh -s < /tmp/open.sh", user="bob").split()
    assert lines == ["EPERM"] * 4


def test_a_job_that_takes_more_memory_than_it_asked_for_is_killed(nodes: Lab) -> None:
    nodes.ok("login01", "echo 'bytearray(600 * 2**20)' > /tmp/greedy.py")
    done = nodes.run("login01", "srun --chdir=/ --mem=200M python3 - < /tmp/greedy.py", user="bob")
    assert done.rc != 0
    assert "oom" in done.text.lower()


def test_a_team_cannot_use_more_gpus_than_its_limit(nodes: Lab) -> None:
    said = nodes.run("login01", "srun --chdir=/ --immediate=5 --gres=gpu:h100:3 true", user="alice")
    assert said.rc != 0
    nodes.ok("login01", "srun --chdir=/ --gres=gpu:h100:3 true", user="bob")


def test_a_qos_limits_each_person(nodes: Lab) -> None:
    nodes.ok("login01", "srun --chdir=/ --qos=small --gres=gpu:h100:1 true", user="bob")
    assert nodes.run("login01", "srun --chdir=/ --qos=small --immediate=5 --gres=gpu:h100:2 true", user="bob").rc != 0


def test_who_is_in_no_team_runs_nothing(nodes: Lab) -> None:
    said = nodes.run("login01", "runuser -u nobody -- srun --chdir=/ true")
    assert said.rc != 0
    assert "account" in said.text.lower()


def test_a_job_has_a_scratch_directory_that_goes_with_it(nodes: Lab) -> None:
    nodes.ok("login01", "echo 'echo $TMPDIR; stat -c %a:%U $TMPDIR' > /tmp/scratch.sh")
    path, owner = nodes.ok("login01", "srun --chdir=/ -w gpu01 sh -s < /tmp/scratch.sh", user="alice").split()
    assert owner == "700:alice"
    wait(nodes, "idle")
    assert nodes.run("gpu01", f"test -e {path}").rc != 0


def test_people_log_in_to_a_node_beside_their_jobs_only(nodes: Lab) -> None:
    nodes.ok("login01", "ssh-keygen -q -t ed25519 -N '' -f ~alice/key && chown alice: ~alice/key")
    key = nodes.ok("login01", "cat ~alice/key.pub").strip()
    nodes.ok("gpu01", f"mkdir -p ~alice/.ssh && echo '{key}' > ~alice/.ssh/authorized_keys && chown -R alice: ~alice")
    enter = "ssh -i key -o StrictHostKeyChecking=accept-new -o BatchMode=yes gpu01 cat /proc/self/cgroup"
    assert "no active jobs on this node" in nodes.run("login01", enter, user="alice").text
    job = nodes.ok(
        "login01", 'sbatch --parsable --chdir=/ -w gpu01 -o /dev/null --wrap "sleep 60"', user="alice"
    ).strip()
    wait(nodes, "mixed")
    assert f"/job_{job}/step_extern" in nodes.ok("login01", enter, user="alice")
    nodes.ok("ctl01", f"scancel {job}")


def test_a_failing_gpu_drains_its_node_until_it_is_well(nodes: Lab) -> None:
    gpus.inject(nodes.name, "gpu01", gpus.Ecc(2))
    wait(nodes, "drained")
    assert reason(nodes) == "node-health: FAIL gpu: 1 uncorrected ECC errors on GPU 2"
    gpus.clear(nodes.name, "gpu01")
    wait(nodes, "idle")


def test_a_missing_gpu_and_an_xid_drain_too(nodes: Lab) -> None:
    gpus.inject(nodes.name, "gpu01", gpus.Missing(3))
    gpus.inject(nodes.name, "gpu01", gpus.Xid(0, 79))
    wait(nodes, "drained")
    nodes.run("gpu01", HEALTH)
    assert "no device of GPU 3" in reason(nodes)
    assert "xid: 79 on 0000:10:00, reboot the node" in reason(nodes)
    gpus.clear(nodes.name, "gpu01")
    wait(nodes, "idle")


def test_an_xid_to_watch_is_logged_and_drains_nothing(nodes: Lab) -> None:
    gpus.inject(nodes.name, "gpu01", gpus.Xid(0, 63))
    said = nodes.ok("gpu01", HEALTH)
    assert said == "ERROR xid: 63 on 0000:10:00\n"
    assert "idle" in nodes.ok("ctl01", "sinfo --noheader --exact --nodes=gpu01 --format=%T")
    gpus.clear(nodes.name, "gpu01")


def test_what_people_drain_stays_drained(nodes: Lab) -> None:
    nodes.ok("ctl01", "scontrol update nodename=gpu01 state=drain reason='ann looks at it'")
    nodes.ok("gpu01", HEALTH)
    assert reason(nodes) == "ann looks at it"
    nodes.ok("ctl01", "scontrol update nodename=gpu01 state=resume")


def test_a_running_job_outlives_a_new_node_in_the_configuration(nodes: Lab) -> None:
    job = nodes.ok("login01", 'sbatch --parsable --chdir=/ -o /dev/null --wrap "sleep 600"', user="bob").strip()
    larger = replace(nodes, plan=make(loads(SPEC.replace("hosts: gpu01", 'hosts: "gpu[01-02]"'))))
    play(larger, "slurm_controller").ok()
    assert "gpu02" in nodes.ok("gpu01", "scontrol show nodes")
    assert "gpu[01-02]" in nodes.ok("gpu01", "cat /run/slurm/conf/slurm.conf"), "nodes were handed the new text"
    assert nodes.ok("ctl01", f"squeue --noheader --jobs={job} --format=%T").strip() == "RUNNING"
    nodes.ok("ctl01", f"scancel {job}")
    play(nodes, "slurm_controller").ok()


def test_a_node_with_a_job_does_not_leave_until_the_job_has_ended(nodes: Lab) -> None:
    other = replace(nodes, plan=make(loads(SPEC.replace("hosts: gpu01", "hosts: gpu09"))))
    job = nodes.ok("login01", 'sbatch --parsable --chdir=/ -o /dev/null --wrap "sleep 600"', user="bob").strip()
    wait(nodes, "mixed")
    before = nodes.ok("ctl01", "cat /etc/slurm/slurm.conf")
    warned = play(other, "slurm_controller", check=True).ok()
    assert f"gpu01 would leave Slurm with jobs: {job} of bob" in " ".join(warned.output.split())
    refused = play(other, "slurm_controller")
    assert refused.rc != 0
    assert f"gpu01 would leave Slurm with jobs: {job} of bob — `scontrol update nodename=gpu01 " in refused.output
    assert nodes.ok("ctl01", "cat /etc/slurm/slurm.conf") == before
    assert nodes.ok("ctl01", f"squeue --noheader --jobs={job} --format=%T").strip() == "RUNNING"
    nodes.ok("ctl01", f"scancel {job}")
    wait(nodes, "idle")
    play(other, "slurm_controller").ok()
    assert nodes.ok("ctl01", "sinfo --noheader --Node --format=%N").split() == ["gpu09"]
    play(nodes, "slurm_controller").ok()
    play(nodes, "slurm_node").ok()


def test_a_node_is_back_after_a_power_cut(nodes: Lab) -> None:
    machine.reboot(nodes.name, "gpu01")
    nodes.ok("gpu01", "until systemctl is-active slurmd.service; do sleep 1; done")
    wait(nodes, "idle", seconds=180)
    assert "gpu01" in nodes.ok("login01", "srun --chdir=/ --gres=gpu:h100:1 hostname", user="bob")


def test_a_job_is_told_its_place_in_the_fabric(nodes: Lab) -> None:
    wired = replace(nodes, plan=over(SPEC, fabric("gpu[00-01]", unit=1)))
    assert nodes.ok("login01", "srun --chdir=/ printenv SLURM_TOPOLOGY_ADDR", user="alice").strip() == "gpu01"
    for run in ("slurm_controller", "slurm_node", "slurm_login"):
        play(wired, run).ok()
        unchanged(wired, run)
    wait(nodes, "idle")
    proofs = [check for check in wired.plan.checks if "fabric" in check.name]
    assert len(proofs) == 2
    for check in proofs:
        said = nodes.ok(check.host, " ".join(f"'{word}'" for word in check.argv), timeout=check.timeout_seconds)
        assert re.search(check.expect, said, re.MULTILINE), f"{check.name}: {said}"
    told = nodes.ok("login01", "srun --chdir=/ printenv SLURM_TOPOLOGY_ADDR", user="alice").strip()
    assert told == "fabric.leaf-02-1.gpu01"
    for run in ("slurm_controller", "slurm_node", "slurm_login"):
        play(nodes, run).ok()


@pytest.mark.parametrize(
    ("hosts", "pods", "address", "switches"),
    [("gpu[001-031]", 0, "10.84.1.1", 2), ("gpu[0001-2048]", 2, "10.84.64.1", 67)],
    ids=["31 nodes, two tiers", "2,048 nodes, three tiers"],
)
def test_slurmctld_takes_the_tree_of_a_whole_platform(
    nodes: Lab, hosts: str, pods: int, address: str, switches: int
) -> None:
    """A second slurmctld on the controller reads the rendered files; none of their nodes exists."""
    large = SPEC.replace("network: 10.84.0.0/24", "network: 10.84.0.0/16").replace("hosts: gpu01", f'hosts: "{hosts}"')
    plan = over(large.replace("10.84.0.21", address), fabric(hosts, pods=pods))
    files = {file.path: file.content for run in plan.runs if run.name == "slurm_controller" for file in run.files}
    kept = [line for line in files["/etc/slurm/slurm.conf"].splitlines() if not line.startswith(OF_THE_RUNNING_ONE)]
    conf = "\n".join(
        [*kept, "SlurmctldPort=26817", "StateSaveLocation=/run/second", "SlurmctldPidFile=/run/second/pid"]
    )
    nodes.ok("ctl01", "install -d -o slurm /run/second")
    for name, text in (("slurm.conf", conf), ("topology.conf", files["/etc/slurm/topology.conf"])):
        put(nodes, "ctl01", f"/run/second/{name}", text)
    nodes.ok("ctl01", "systemd-run -q --unit=second slurmctld -D -c -f /run/second/slurm.conf")
    try:
        ask = "SLURM_CONF=/run/second/slurm.conf timeout 20 scontrol"
        nodes.ok("ctl01", f"for i in $(seq 60); do {ask} ping | grep -q 'is UP' && exit; sleep 1; done; exit 1")
        top = nodes.ok("ctl01", f"{ask} show topology fabric")
        assert f"Nodes={hosts} " in top, top
        assert len(nodes.ok("ctl01", f"{ask} show topology").splitlines()) == switches
        said = nodes.ok("ctl01", "journalctl -u second --no-pager")
        assert not re.search(r"switches lack access|no switch can reach|not a tree|fatal", said), said
    finally:
        nodes.run("ctl01", "systemctl stop second; rm -rf /run/second")


def test_accounts_follow_the_spec_and_leave_others_alone(nodes: Lab) -> None:
    nodes.ok("ctl01", "sacctmgr -i add account theirs organization=other description=theirs")
    changed = SPEC.replace("gpus: 2, ", "").replace("language: {share: 40", "robots: {share: 20")
    play(replace(nodes, plan=make(loads(changed))), "slurm_controller").ok()
    unchanged(replace(nodes, plan=make(loads(changed))), "slurm_controller")
    said = nodes.ok("ctl01", "sacctmgr -nP show assoc format=account,user,share,grptres").splitlines()
    assert {"vision||60|", "robots||20|", "robots|bob|1|"} <= set(said)
    assert any(line.startswith("theirs||") for line in said)
    assert not any(line.startswith("language|") for line in said)
    play(nodes, "slurm_controller").ok()
