"""Roles nfs_server, nfs_client and scratch on machines with a kernel of their own: acceptance, transports, power loss.

Two QEMU guests with Debian's kernel, emulated NVMe and soft-RoCE; what the plan renders is what they mount with.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator

import pytest

from platform_iac.checks.remote import Remote
from platform_iac.checks.run import judge
from platform_iac.lab import machine
from platform_iac.lab.machine import Guest
from tests.twin_support import machines
from tests.twin_support.acceptance import Inventories, arrive, at_once, inventories, leave
from tests.twin_support.ansible import up_to
from tests.twin_support.machines import Lab

pytestmark = [pytest.mark.twin, pytest.mark.timeout(1800)]

# 954 MiB is what a drive of one decimal gigabyte has.
GUESTS = {
    "nvme01": Guest(memory_mib=1024, drives_mib=(954,) * 4),
    "node01": Guest(memory_mib=1024, drives_mib=(954,) * 2),
}
SPEC = """
apiVersion: platform-iac/v1
name: rolenfs
sites:
  lab: {kind: lab, domain: lab.example.net, network: 10.85.0.0/24}
pools:
  infra: {site: lab, duty: mirror, hosts: mirror01, addresses: 10.85.0.10}
  stor:
    site: lab
    duty: storage
    hosts: nvme01
    addresses: 10.85.0.11
    hardware:
      like: nvme-server
      nics: [{kind: ethernet, purpose: storage, product: soft-RoCE, devices: eth0, rate_gbps: 1}]
      disks: [{kind: nvme, purpose: data, count: 4, size_gb: 1}]
  node:
    site: lab
    duty: compute
    hosts: node01
    addresses: 10.85.0.12
    hardware:
      like: cpu-server
      nics: [{kind: ethernet, purpose: storage, product: soft-RoCE, devices: eth0, rate_gbps: 1}]
      disks: [{kind: nvme, purpose: data, count: 2, size_gb: 1}]
storage:
  home:
    kind: nfs
    mount: /home
    purpose: home
    transport: rdma
    served_by: {pool: stor, threads: 8, lease_seconds: 10}
    mounted_by: [compute]
  datasets:
    kind: nfs
    mount: /datasets
    purpose: datasets
    version: "4.2"
    nconnect: 4
    served_by: {pool: stor, threads: 8, lease_seconds: 10}
    quotas_gib: {vision: 1}
    mounted_by: [compute]
  scratch: {kind: scratch, pools: [node]}
teams:
  vision: {members: {alice: {uid: 20001}}}
  language: {members: {bob: {uid: 20002}}}
"""

# What a RoCE adapter is on hardware: the device must be there before anything mounts over it.
ADAPTER = "modprobe rdma_rxe && rdma link add rxe0 type rxe netdev $(ls /sys/class/net | grep -vx lo)"
STALL_SECONDS = 240

STAGES = (("nfs_server", "scratch"), ("nfs_client_compute",))
"""The roles in their order; emulated guests are slow, so those that are apart go at once, and each comes once."""


@pytest.fixture(scope="module")
def lab() -> Iterator[Lab]:
    with machines.lab(SPEC, guests=GUESTS) as made:
        at_once(lambda host: made.ok(host, ADAPTER), list(GUESTS))
        up_to(made, "nfs_server")
        yield made


@pytest.fixture(scope="module")
def before(lab: Lab) -> Inventories:
    """What is on the guests before any of the roles."""
    return inventories(lab, *STAGES)


def test_server_clients_and_scratch_pass_the_first_half_of_the_acceptance(lab: Lab, before: Inventories) -> None:
    arrive(lab, *STAGES, before=before, dry=False)


def test_checks_of_the_plan_pass(lab: Lab) -> None:
    names = ("mounts", "exports", "array", "scratch")
    checks = [check for check in lab.plan.checks if any(name in check.name for name in names)]
    assert len(checks) == 7, [check.name for check in checks]
    results = [judge(check, Remote(str(lab.ssh_config))) for check in checks]
    assert not [f"{result.check.name}: {result.reason}" for result in results if not result.passed]


def test_mdadm_says_of_an_array_what_the_role_compares(lab: Lab) -> None:
    wanted = {"MD_LEVEL=raid10", "MD_DEVICES=4"}
    detail, disk = (
        lab.ok("nvme01", f"mdadm {query}").splitlines()
        for query in ("--detail --export /dev/md/nfs", "--examine --export /dev/nvme0n1")
    )
    assert wanted <= set(detail)
    assert wanted <= set(disk)
    assert [line for line in detail if line.startswith("MD_UUID=")] == [
        line for line in disk if line.startswith("MD_UUID=")
    ]
    roles = sorted(line.rpartition("=")[2] for line in detail if line.partition("=")[0].endswith("_ROLE"))
    assert roles == ["0", "1", "2", "3"]


def test_each_mount_goes_over_its_own_transport(lab: Lab) -> None:
    # The options alone are no proof: a shared connection would show them too. The kernel counts each connection.
    mounts = lab.ok("node01", "cat /proc/mounts")
    home = next(line for line in mounts.splitlines() if " /home " in line)
    datasets = next(line for line in mounts.splitlines() if " /datasets " in line)
    assert "vers=4.1" in home and "proto=rdma" in home and "port=20049" in home, home
    assert "vers=4.2" in datasets and "proto=tcp" in datasets and "nconnect=4" in datasets, datasets
    count = "awk '/ mounted on /{at=$5} /xprt:/{n[at\" \"$2]++} END{for(k in n) print k, n[k]}' /proc/self/mountstats"
    assert {"/home rdma 1", "/datasets tcp 4"} <= set(lab.ok("node01", count).splitlines())


def test_what_was_written_is_there_after_mounting_anew(lab: Lab) -> None:
    for folder in ("/home/alice", "/datasets/alice"):
        write = f"head -c 20000000 /dev/urandom >{folder}/data && sync {folder}/data && sha256sum {folder}/data"
        before = lab.ok("node01", write, user="alice")
        lab.ok("node01", "systemctl restart home.mount datasets.mount", timeout=240)
        assert lab.ok("node01", f"sha256sum {folder}/data", user="alice") == before
    assert lab.ok("nvme01", "stat -c '%u %a' /srv/nfs/home/alice /srv/nfs/datasets/alice").split() == [
        "20001", "700", "20001", "755",
    ]  # fmt: skip


def test_root_of_a_client_is_nobody_and_members_are_apart(lab: Lab) -> None:
    assert "Permission denied" in lab.run("node01", "ls /home/alice").text
    assert "Permission denied" in lab.run("node01", "touch /datasets/alice/x").text
    assert "Permission denied" in lab.run("node01", "ls /home/alice", user="bob").text
    assert lab.run("node01", "ls /datasets/alice", user="bob").ok()


def test_a_team_stops_at_its_quota_and_the_others_do_not(lab: Lab) -> None:
    full = lab.run("node01", "fallocate -l 1100M /datasets/alice/big", user="alice")
    assert full.rc != 0, full.text
    assert "quota" in full.text.lower() or "No space left" in full.text, full.text
    lab.ok("node01", "fallocate -l 1100M /datasets/bob/big && rm /datasets/bob/big", user="bob")


def test_a_job_finds_its_own_folder_on_the_nodes_disks(lab: Lab) -> None:
    assert lab.ok("node01", "stat -c '%a %U' /scratch /scratch/.jobs").split() == ["1777", "root", "711", "root"]
    lab.ok("node01", "mkdir /scratch/alice && echo 1 >/scratch/alice/x", user="alice")
    assert lab.run("node01", "rm -r /scratch/alice", user="bob").rc != 0


def test_the_sweep_leaves_what_is_read_and_takes_what_is_not(lab: Lab) -> None:
    # No program can set when a file was made or last changed: the clock is back while these are written.
    old = "mkdir /scratch/old && echo 1 >/scratch/old/read && echo 1 >/scratch/old/unread"
    back = "now=$(date +%s); date -s @$((now - 30 * 86400))"
    lab.ok("node01", f"{back}; {old}; rc=$?; date -s @$((now + 1)); exit $rc")
    ages = "stat -c '%X %Y %Z' /scratch/old/read"
    assert len(set(lab.ok("node01", ages).split())) == 1
    accessed, modified, changed = map(int, lab.ok("node01", f"cat /scratch/old/read >/dev/null; {ages}").split())
    assert accessed > modified + 29 * 86400
    assert modified == changed
    lab.ok("node01", "systemd-tmpfiles --clean /etc/tmpfiles.d/scratch.conf")
    assert lab.ok("node01", "ls -A /scratch/old").split() == ["read"]
    lab.ok("node01", "test -d /scratch/.jobs && rm -r /scratch/old")


def test_power_loss_of_the_server_under_load_loses_no_acknowledged_write(
    lab: Lab, record_property: Callable[[str, object], None]
) -> None:
    """A writer notes each record only when fsync has said that it is kept; after the cut all of them are there."""
    program = (
        f"import os,time; end=time.time()+{STALL_SECONDS}\n"
        "f=os.open('/home/alice/log',os.O_CREAT|os.O_TRUNC|os.O_WRONLY)\n"
        "n=0; worst=0; after=0\n"
        "while time.time()<end and after<50:\n"
        " t=time.time(); os.write(f,b'%08d\\n'%n); os.fsync(f); worst=max(worst,time.time()-t); n+=1\n"
        " after+=worst>5\n"
        " open('/tmp/noted','w').write('%d %.1f'%(n,worst))\n"
    )
    lab.ok("node01", f"cat >/tmp/writer.py <<'X'\n{program}X\n")
    done: list[machines.Done] = []
    argv = "python3 /tmp/writer.py"
    writer = threading.Thread(
        target=lambda: done.append(lab.run("node01", argv, user="alice", timeout=STALL_SECONDS + 120))
    )
    writer.start()
    noted(lab, above=20)
    machine.stop(lab.name, "nvme01")
    machine.start(lab.name, "nvme01")
    lab.ok("nvme01", ADAPTER)
    lab.ok("nvme01", "systemctl restart nfs-server.service", timeout=240)  # its adapter came after it
    writer.join(timeout=STALL_SECONDS + 180)
    assert done and done[0].rc == 0, done
    count, stall = lab.ok("node01", "cat /tmp/noted").split()
    record_property("stall_seconds", float(stall))
    record_property("acknowledged_records", int(count))
    kept = lab.ok("nvme01", "cat /srv/nfs/home/alice/log").split()
    assert [int(record) for record in kept[: int(count)]] == list(range(int(count)))
    assert float(stall) > 5, "the power was not cut under load"


def test_a_host_that_boots_before_its_server_waits_for_it(lab: Lab) -> None:
    state = "systemctl show --property ActiveState --value datasets.mount"
    assert "remote-fs.target" not in lab.ok("node01", "systemctl show --property Before datasets.mount")
    lab.ok("node01", "systemctl stop datasets.mount")
    machine.stop(lab.name, "nvme01")
    lab.ok("node01", "systemctl start --no-block datasets.mount")
    # By itself mount gives up after two minutes (nfs(5)), and systemd after a minute and a half.
    assert lab.ok("node01", f"sleep 15; {state}").strip() == "activating"
    assert "retry=10000" in lab.ok("node01", "cat /proc/[0-9]*/cmdline 2>/dev/null | tr '\\0' ' '")
    assert lab.ok("node01", "systemctl show --property TimeoutUSec --value datasets.mount").strip() == "infinity"
    machine.start(lab.name, "nvme01")
    lab.ok("nvme01", ADAPTER)
    lab.ok("nvme01", "systemctl restart nfs-server.service", timeout=240)
    lab.ok("node01", f"for i in $(seq 50); do test $({state}) = active && exit; sleep 5; done; exit 1", timeout=300)
    assert lab.ok("node01", "findmnt --noheadings --output FSTYPE /datasets").strip() == "nfs4"


def test_teardown_leaves_nothing_but_what_people_wrote(lab: Lab, before: Inventories) -> None:
    # Debian keeps accounts of packages that go (UsersGroups, Debian policy 9.2).
    leave(lab, *STAGES, before=before, stays=r"(user|group) (_rpc|statd)")
    lab.ok("nvme01", "blkid --match-token TYPE=linux_raid_member /dev/nvme0n1")


def noted(lab: Lab, *, above: int, seconds: int = 120) -> None:
    """Wait until the writer has noted more than so many records."""
    deadline = time.monotonic() + seconds
    while int((lab.run("node01", "cat /tmp/noted").text.split() or ["0"])[0].strip("cat:") or 0) <= above:
        assert time.monotonic() < deadline, lab.run("node01", "cat /tmp/noted").text
        time.sleep(1)
