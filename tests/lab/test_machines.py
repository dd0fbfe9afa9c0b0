"""Labs with real machines: what holds them apart, and that nothing of them is lost or left over."""

import contextlib
import json
import os
import secrets
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from platform_iac.lab import cgroups, gpus, image, limits, machine, network, paths
from platform_iac.lab.machine import Bind
from platform_iac.lab.paths import LabError
from platform_iac.lab.process import run
from platform_iac.plan.render import render

pytestmark = pytest.mark.twin

CIDR = "10.99.0.0/24"
HOSTS = {"one": "10.99.0.11", "two": "10.99.0.12"}


def remains(lab: str) -> list[str]:
    """Everything of a lab that there is on this workstation."""
    mounts = Path("/proc/self/mountinfo").read_text()
    found = [line for line in mounts.splitlines() if f"/labs/{lab}/" in line or f"platform-iac-{lab} " in line]
    found += [str(path) for path in cgroups.paths(lab) if path.exists()]
    found += [str(path) for path in (paths.lab(lab), Path("/run/netns") / paths.netns(lab)) if path.exists()]
    for process in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            if f"platform-iac-{lab}".encode() in (process / "cmdline").read_bytes():
                found.append(str(process))
    return found


def remove(lab: str) -> None:
    for name in machine.names(lab):
        machine.delete(lab, name)
    network.delete(lab)


@pytest.fixture
def name() -> Iterator[str]:
    """A lab's name of its own; what the test makes under it is removed."""
    name = f"t-{secrets.token_hex(4)}"
    yield name
    remove(name)
    assert remains(name) == []


@pytest.fixture(scope="module")
def root() -> Path:
    return image.ensure(print)


@pytest.fixture
def lab(name: str, root: Path) -> str:
    """A lab with the machines `one` and `two`."""
    network.ensure(name, CIDR, HOSTS)
    with ThreadPoolExecutor() as pool:
        list(pool.map(lambda host: machine.create(name, host, HOSTS[host], root), HOSTS))
    return name


def ssh(lab: str, host: str, command: str) -> str:
    return run(["ssh", "-F", network.load(lab).ssh_config, host, command], timeout_seconds=30).strip()


def test_a_machine_boots_whole_and_is_who_it_should_be(lab: str) -> None:
    assert ssh(lab, "one", "systemctl is-system-running --wait") == "running"
    assert ssh(lab, "one", "hostname --fqdn; hostname") == "one.lab.test\none"
    assert ssh(lab, "one", "cat /etc/machine-id") == machine.load(lab, "one").instance.replace("-", "")


def test_machines_reach_each_other_by_name_and_nothing_else(lab: str) -> None:
    reach = "timeout 5 bash -c 'exec 3<>/dev/tcp/{}/{}' 2>/dev/null && echo reached || echo refused"
    assert ssh(lab, "one", reach.format("two", 22)) == "reached"
    assert ssh(lab, "one", reach.format("10.99.0.1", 22)) == "refused"
    assert ssh(lab, "one", reach.format("192.0.2.1", 80)) == "refused"
    assert ssh(lab, "one", "ip route") == "10.99.0.0/24 dev host0 proto kernel scope link src 10.99.0.11"
    assert ssh(lab, "one", "ip -6 route show default; getent hosts debian.org || echo unknown") == "unknown"


def test_two_labs_with_the_same_addresses_live_side_by_side(lab: str, root: Path) -> None:
    other = f"t-{secrets.token_hex(4)}"
    try:
        network.ensure(other, CIDR, HOSTS)
        machine.create(other, "one", HOSTS["one"], root)
        ssh(other, "one", "touch /only-here")
        assert ssh(lab, "one", "test -e /only-here || echo absent") == "absent"
        remove(other)
        assert remains(other) == []
        assert ssh(lab, "one", "echo still here") == "still here"
    finally:
        remove(other)


def test_a_host_with_another_key_is_refused(lab: str) -> None:
    known_hosts = paths.lab(lab) / "known_hosts"
    one, two = machine.load(lab, "one").host_key, machine.load(lab, "two").host_key
    known_hosts.write_text(known_hosts.read_text().replace(one, two))
    with pytest.raises(LabError, match="verification failed"):
        ssh(lab, "one", "true")
    assert ssh(lab, "two", "echo fine") == "fine"


def test_a_new_host_has_a_name_at_once_and_no_machine_is_touched(lab: str) -> None:
    before = [machine.leader(lab, host) for host in HOSTS]
    network.ensure(lab, CIDR, {**HOSTS, "three": "10.99.0.13"})
    assert ssh(lab, "one", "getent hosts three") == "10.99.0.13      three.lab.test"
    assert [machine.leader(lab, host) for host in HOSTS] == before


def test_a_power_cut_keeps_files_and_the_machine_is_the_same_one(lab: str) -> None:
    ssh(lab, "one", "echo kept >/srv/file")
    before = machine.load(lab, "one")
    machine.stop(lab, "one")
    assert machine.status(lab, "one") == "stopped"
    assert cgroups.processes(lab, "one") == set()
    machine.start(lab, "one")
    assert ssh(lab, "one", "cat /srv/file") == "kept"
    assert machine.load(lab, "one") == before


def test_a_machine_that_reboots_itself_comes_back(lab: str) -> None:
    before = ssh(lab, "one", "cat /proc/sys/kernel/random/boot_id")
    with contextlib.suppress(LabError):  # the connection may end before the command does
        ssh(lab, "one", "systemctl reboot")
    end = time.monotonic() + 30
    while time.monotonic() < end:
        with contextlib.suppress(LabError):
            if ssh(lab, "one", "cat /proc/sys/kernel/random/boot_id") != before:
                return
        time.sleep(0.3)
    pytest.fail("the machine did not come back within 30 s")


def test_create_again_changes_nothing_and_other_settings_are_refused(lab: str, root: Path) -> None:
    before = (machine.leader(lab, "one"), machine.load(lab, "one"))
    machine.create(lab, "one", HOSTS["one"], root)
    assert (machine.leader(lab, "one"), machine.load(lab, "one")) == before
    with pytest.raises(LabError, match="delete it first"):
        machine.create(lab, "one", "10.99.0.99", root)


def test_a_bound_folder_is_read_only_unless_said_otherwise(name: str, root: Path, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("bound\n")
    network.ensure(name, CIDR, HOSTS)
    binds = (
        Bind(source=str(tmp_path), target="/srv/ro"),
        Bind(source=str(tmp_path), target="/srv/rw", writable=True),
    )
    machine.create(name, "one", HOSTS["one"], root, binds)
    assert (
        ssh(name, "one", "cat /srv/ro/file; touch /srv/ro/new || echo refused; touch /srv/rw/new") == "bound\nrefused"
    )
    assert (tmp_path / "new").exists()


def test_a_forward_leads_from_loopback_to_a_port_inside(lab: str) -> None:
    port = 20000 + secrets.randbelow(10000)
    network.ensure(lab, CIDR, HOSTS, forwards={port: "one:8080"})
    ssh(lab, "one", "cd /etc && systemd-run --quiet python3 -m http.server 8080 --directory /etc")
    fetch = ["curl", "--silent", "--fail", "--retry", "20", "--retry-all-errors", "--retry-delay", "1"]
    assert run([*fetch, f"http://127.0.0.1:{port}/hostname"], timeout_seconds=40) == "one\n"
    with pytest.raises(LabError, match="is in use"):
        network.ensure(f"{lab}-b", CIDR, HOSTS, forwards={port: "one:8080"})
    remove(f"{lab}-b")
    network.ensure(lab, CIDR, HOSTS)
    assert subprocess.run([*fetch[:3], f"http://127.0.0.1:{port}/"], check=False).returncode == 7  # nobody listens


def test_a_namespace_that_is_not_ours_is_refused_and_left_alone(name: str) -> None:
    run(["ip", "netns", "add", paths.netns(name)])
    try:
        with pytest.raises(LabError, match="is not from this lab's state"):
            network.ensure(name, CIDR, HOSTS)
        assert (Path("/run/netns") / paths.netns(name)).exists()
    finally:
        run(["ip", "netns", "delete", paths.netns(name)])


def test_the_kernel_s_limit_is_lifted_while_there_is_a_lab(lab: str) -> None:
    assert int(limits.INSTANCES.read_text()) >= limits.ENOUGH


def test_an_allowed_device_may_be_made_and_the_device_cgroup_holds(lab: str) -> None:
    ssh(lab, "one", "mknod -m 666 /dev/nvidia0 c 195 0 && mknod -m 666 /dev/nvidia1 c 195 1")
    ssh(lab, "one", "mkdir /sys/fs/cgroup/devices/job && echo 'c 195:1 rwm' >/sys/fs/cgroup/devices/job/devices.deny")
    opened = "for i in 0 1; do (: </dev/nvidia$i) 2>&1 | sed 's/.*: //'; done"
    said = ssh(lab, "one", f"echo $$ >/sys/fs/cgroup/devices/job/cgroup.procs; {opened}")
    assert said.splitlines() == ["No such device or address", "Operation not permitted"]


CREATE = """
import sys
from pathlib import Path
from platform_iac.lab import machine, network
lab, cidr, root = sys.argv[1:]
network.ensure(lab, cidr, {"one": "10.99.0.11"})
machine.create(lab, "one", "10.99.0.11", Path(root))
"""


@pytest.mark.parametrize("milliseconds", [60, 120, 180, 240, 300, 400, 550, 750, 950])
def test_create_killed_anywhere_is_finished_by_the_next(name: str, root: Path, milliseconds: int) -> None:
    argv = [sys.executable, "-c", CREATE, name, CIDR, str(root)]
    with subprocess.Popen(argv, start_new_session=True) as first:
        time.sleep(milliseconds / 1000)
        with contextlib.suppress(ProcessLookupError):
            os.killpg(first.pid, signal.SIGKILL)
    subprocess.run(argv, check=True, timeout=60)
    assert ssh(name, "one", "systemctl is-system-running --wait") == "running"
    assert len([pid for pid in cgroups.processes(name, "one") if _is_nspawn(pid)]) == 1


@pytest.mark.parametrize("milliseconds", [10, 40, 80, 160, 320])
def test_delete_killed_anywhere_is_finished_by_the_next(lab: str, milliseconds: int) -> None:
    script = "import sys; from platform_iac.lab import machine; machine.delete(sys.argv[1], 'one')"
    with subprocess.Popen([sys.executable, "-c", script, lab], start_new_session=True) as first:
        time.sleep(0.06 + milliseconds / 1000)
        with contextlib.suppress(ProcessLookupError):
            os.killpg(first.pid, signal.SIGKILL)
    machine.delete(lab, "one")
    assert machine.status(lab, "one") == "absent"
    assert ssh(lab, "two", "echo fine") == "fine"


def test_injected_faults_show_in_nvidia_smi_and_clear(lab: str, gpu_host: Callable[[str], None]) -> None:
    gpu_host(lab)
    asked = "nvidia-smi --query-gpu=minor_number,ecc.errors.uncorrected.volatile.total --format=csv,noheader"
    gpus.inject(lab, "one", gpus.Ecc(1, uncorrected=2))
    gpus.inject(lab, "one", gpus.Missing(0))
    gpus.inject(lab, "one", gpus.Xid(1, 79))
    assert ssh(lab, "one", asked) == "1, 2"
    assert "NVRM: Xid (PCI:0000:1b:00): 79," in ssh(lab, "one", f"cat {gpus.XID_LOG}")
    gpus.clear(lab, "one")
    assert ssh(lab, "one", asked) == "0, 0\n1, 0"


@pytest.fixture
def gpu_host() -> Callable[[str], None]:
    """Puts on a machine what the role `gpu` puts there for two simulated GPUs."""

    def put(lab: str) -> None:
        gpu = {"product": "NVIDIA X", "memory_mib": 1024}
        listed = [{**gpu, "index": i, "uuid": f"GPU-{i}", "bus_id": f"00000000:{0x1A + i:02X}:00.0"} for i in range(2)]
        nodes = "/etc/tmpfiles.d/simulated-gpus.conf"
        files = {
            gpus.INVENTORY: json.dumps({"gpus": listed}),
            "/usr/bin/nvidia-smi": render("gpu", "nvidia-smi"),
            nodes: render("gpu", "simulated-gpus.conf.j2", count=2, major=195),
            f"/etc/systemd/system/{gpus.UNIT}": render("gpu", "simulated-gpus.service.j2", nodes=nodes),
        }
        config = network.load(lab).ssh_config
        for path, text in files.items():
            run(["ssh", "-F", config, "one", f"install -D -m 0755 /dev/stdin {path}"], stdin=text)
        ssh(lab, "one", f"systemctl daemon-reload && systemctl start {gpus.UNIT}")

    return put


def _is_nspawn(pid: int) -> bool:
    with contextlib.suppress(OSError):
        return Path(f"/proc/{pid}/comm").read_text().strip() == "systemd-nspawn"
    return False
