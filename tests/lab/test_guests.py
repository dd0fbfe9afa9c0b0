"""Machines with a kernel of their own, beside those without: the same network, the same ways in, nothing left over."""

import contextlib
import os
import secrets
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from platform_iac.lab import cgroups, guest_image, image, machine, network, paths, whole
from platform_iac.lab.guest import Guest
from platform_iac.lab.paths import LabError
from platform_iac.lab.process import run
from tests.twin import traces

pytestmark = pytest.mark.twin

CIDR = "10.99.8.0/24"
HOSTS = {"one": "10.99.8.11", "two": "10.99.8.12"}
BODY = Guest(memory_mib=1024, drives_mib=(256, 256, 256, 256))


@contextlib.contextmanager
def named() -> Iterator[str]:
    """A lab's name of its own; what is made under it is removed, and nothing of it may be left."""
    name = f"t-{secrets.token_hex(4)}"
    try:
        yield name
    finally:
        whole.remove(name)
    assert traces.of_lab(name) == []
    assert not paths.lab(name).exists()


@pytest.fixture(scope="module")
def made() -> Path:
    return guest_image.ensure(print)


@pytest.fixture(scope="module")
def lab(made: Path) -> Iterator[str]:
    """A lab with the guest `one` and the container `two`."""
    root = image.ensure(print)
    with named() as name:
        network.ensure(name, CIDR, HOSTS)
        with ThreadPoolExecutor() as pool:
            booted = [
                pool.submit(machine.create, name, "one", HOSTS["one"], made, body=BODY),
                pool.submit(machine.create, name, "two", HOSTS["two"], root),
            ]
            for one in booted:
                one.result()
        yield name


def ssh(lab: str, host: str, command: str) -> str:
    return run(["ssh", "-F", network.load(lab).ssh_config, host, command], timeout_seconds=120).strip()


def test_a_guest_boots_whole_with_debian_s_kernel_and_is_who_it_should_be(lab: str) -> None:
    assert ssh(lab, "one", "systemctl is-system-running --wait || systemctl --failed") == "running"
    assert ssh(lab, "one", "hostname --fqdn; hostname") == "one.lab.test\none"
    assert ssh(lab, "one", "cat /etc/machine-id") == machine.load(lab, "one").instance.replace("-", "")
    assert ssh(lab, "one", "uname -r").endswith("-amd64")
    assert ssh(lab, "one", "stat -c '%a %n' / /root /root/.ssh /etc /etc/ssh/ssh_host_ed25519_key") == (
        "755 /\n700 /root\n700 /root/.ssh\n755 /etc\n600 /etc/ssh/ssh_host_ed25519_key"
    )


def test_guests_and_containers_are_on_one_network_that_leads_nowhere_else(lab: str) -> None:
    reach = "timeout 20 bash -c 'exec 3<>/dev/tcp/{}/{}' 2>/dev/null && echo reached || echo refused"
    assert ssh(lab, "one", reach.format("two", 22)) == "reached"
    assert ssh(lab, "two", reach.format("one", 22)) == "reached"
    assert ssh(lab, "one", reach.format("192.0.2.1", 80)) == "refused"
    assert ssh(lab, "one", "ip route") == f"10.99.8.0/24 dev host0 proto kernel scope link src {HOSTS['one']}"


def test_a_guest_with_another_key_is_refused(lab: str) -> None:
    known_hosts = paths.lab(lab) / "known_hosts"
    before = known_hosts.read_text()
    known_hosts.write_text(before.replace(machine.load(lab, "one").host_key, machine.load(lab, "two").host_key))
    try:
        with pytest.raises(LabError, match="verification failed"):
            ssh(lab, "one", "true")
    finally:
        known_hosts.write_text(before)
    assert ssh(lab, "one", "echo fine") == "fine"


def test_drives_are_nvme_of_the_size_that_was_asked_for(lab: str) -> None:
    said = ssh(
        lab, "one", "for d in /sys/block/nvme*n1; do echo $(cat $d/device/serial) $(($(cat $d/size) / 2048)); done"
    )
    assert sorted(said.splitlines()) == [f"one-{number} 256" for number in range(4)]


def test_the_kernel_has_what_the_workstation_s_may_lack(lab: str) -> None:
    ssh(lab, "one", "modprobe -a nfsd nfsv4 raid10 xfs rdma_rxe rpcrdma nvmet_rdma")
    loaded = ssh(lab, "one", "ls /sys/module").split()
    assert {"nfsd", "nfsv4", "raid10", "md_mod", "xfs", "rdma_rxe", "rpcrdma", "nvmet_rdma"} <= set(loaded)
    assert "nodev\tnfsd" in ssh(lab, "one", "cat /proc/filesystems")


def test_create_again_changes_nothing_and_another_body_is_refused(lab: str, made: Path) -> None:
    before = (cgroups.processes(lab, "one"), machine.load(lab, "one"))
    machine.create(lab, "one", HOSTS["one"], made, body=BODY)
    assert (cgroups.processes(lab, "one"), machine.load(lab, "one")) == before
    with pytest.raises(LabError, match="delete it first"):
        machine.create(lab, "one", HOSTS["one"], made, body=Guest())


def test_a_power_loss_keeps_what_was_synced_and_the_guest_is_the_same_one(lab: str) -> None:
    ssh(lab, "one", "head -c 65536 /dev/urandom >/dev/nvme2n1 && sync /dev/nvme2n1")
    ssh(lab, "one", "head -c 1000000 /dev/urandom >/srv/file && sync /srv/file /srv")
    sums = "head -c 65536 /dev/nvme2n1 | sha256sum; sha256sum /srv/file; cat /etc/machine-id"
    before = (machine.load(lab, "one"), ssh(lab, "one", sums), ssh(lab, "one", "cat /proc/sys/kernel/random/boot_id"))
    machine.stop(lab, "one")
    assert machine.status(lab, "one") == "stopped"
    assert cgroups.processes(lab, "one") == set()
    machine.start(lab, "one")
    assert machine.status(lab, "one") == "running"
    after = (machine.load(lab, "one"), ssh(lab, "one", sums), ssh(lab, "one", "cat /proc/sys/kernel/random/boot_id"))
    assert after[:2] == before[:2]
    assert after[2] != before[2]


CREATE = """
import sys
from pathlib import Path
from platform_iac.lab import machine, network
from platform_iac.lab.guest import Guest
lab, cidr, address, made = sys.argv[1:]
network.ensure(lab, cidr, {"one": address})
machine.create(lab, "one", address, Path(made), body=Guest(memory_mib=512, drives_mib=(64,)))
"""
DELETE = "import sys; from platform_iac.lab import machine; machine.delete(sys.argv[1], 'one')"


def killed(argv: list[str], seconds: float) -> None:
    """Run a command, and kill it and its children after so long."""
    with subprocess.Popen(argv, start_new_session=True) as process:
        time.sleep(seconds)
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)


def test_create_and_delete_killed_anywhere_are_finished_by_the_next(made: Path) -> None:
    with named() as name:
        create = [sys.executable, "-c", CREATE, name, CIDR, HOSTS["one"], str(made)]
        for seconds in (0.2, 0.3, 0.4, 0.6, 0.9, 4):
            killed(create, seconds)
        subprocess.run(create, check=True, timeout=400)
        assert ssh(name, "one", "systemctl is-system-running --wait || systemctl --failed") == "running"
        assert len(cgroups.processes(name, "one")) == 1
        for seconds in (0.1, 0.15, 0.2):
            killed([sys.executable, "-c", DELETE, name], seconds)
        machine.delete(name, "one")
        assert machine.status(name, "one") == "absent"
        assert not paths.machine(name, "one").exists()
        assert "tap" not in run(["ip", "-netns", paths.netns(name), "-brief", "link"])
