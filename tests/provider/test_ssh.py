"""The provider's two ways to a host, Ansible and the probe, against machines with real sshd and systemd."""

from __future__ import annotations

import copy
import secrets
import subprocess
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from platform_iac.lab import image, machine, network
from platform_iac.provider.drift import connections, mend, scan
from platform_iac.provider.runner import owner, private, run
from platform_iac.provider.runner.play import Job
from tests.provider.conftest import ROLES, untouched

pytestmark = [pytest.mark.twin, pytest.mark.timeout(900)]

HOSTS = {"one": "10.99.76.11", "two": "10.99.76.12"}
UNIT, CONF, KEY = "/etc/systemd/system/fixture.service", "/etc/fixture/fixture.conf", "/etc/fixture/key"
SERVICE = """\
[Unit]
Description=Waits for ever
[Service]
ExecStart=/bin/sleep infinity
[Install]
WantedBy=multi-user.target
"""


def root_file(content: str, mode: str = "0644") -> dict[str, str]:
    return {"content": content, "mode": mode, "owner": "root", "group": "root"}


@pytest.fixture(scope="module")
def lab() -> Iterator[str]:
    name = f"t-{secrets.token_hex(4)}"
    try:
        network.ensure(name, "10.99.76.0/24", HOSTS)
        for host, address in HOSTS.items():
            machine.create(name, host, address, image.ensure(print))
        yield name
    finally:
        connections.close()
        private.close()
        for host in HOSTS:
            machine.delete(name, host)
        network.delete(name)


@pytest.fixture
def planned(lab: str, monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    monkeypatch.setenv("PLATFORM_IAC_ROLES", str(ROLES))
    machines = {host: machine.load(lab, host) for host in HOSTS}
    return {
        "role": "fixture",
        "digest": "d",
        "packages": ["openssh-server"],
        "files": {
            UNIT: root_file(SERVICE),
            CONF: root_file("size={{ 1 }}\n"),
            KEY: root_file("@@secret/key@@\n", "0400"),
        },
        "units": {"fixture.service": {"enabled": True, "running": True, "restart_on": [UNIT, CONF]}},
        "vars": {"log": "/root/runs"},
        "hosts": {host: {"address": found.address, "hostKey": found.host_key} for host, found in machines.items()},
        "sshConfig": str(network.load(lab).ssh_config),
        "secrets": {"key": "canary-5ec4e7"},
    }


def apply(planned: dict[str, Any], *hosts: str, **options: Any) -> dict[str, tuple[int, str]]:
    """Run the role and return by host how many tasks changed something, and why it failed."""
    outcomes = run.run(Job(planned, hosts or tuple(HOSTS), **options), lambda *_: None, threading.Event())
    return {host: (outcome.changed, outcome.reason) for host, outcome in outcomes.items()}


def ask(planned: dict[str, Any]) -> dict[str, dict[str, str]]:
    found = scan.scan(planned, list(planned["hosts"]), threading.Event())
    return {host: {thing: untouched(said) for thing, said in things.items()} for host, things in found.items()}


def shell(planned: dict[str, Any], host: str, command: str) -> str:
    argv = ["ssh", "-F", planned["sshConfig"], host, command]
    return subprocess.run(argv, capture_output=True, text=True, timeout=60, check=True).stdout.strip()


def test_a_role_s_whole_life_on_machines(planned: dict[str, Any]) -> None:
    assert apply(planned, check=True) == {"one": (2, ""), "two": (2, "")}
    assert apply(planned) == {"one": (2, ""), "two": (2, "")}
    assert shell(planned, "two", f"cat {KEY}; stat -c %a {KEY}; systemctl is-active fixture") == (
        "canary-5ec4e7\n400\nactive"
    )
    assert apply(planned) == {"one": (0, ""), "two": (0, "")}
    assert ask(planned) == {}

    shell(planned, "one", f"systemctl stop fixture; chmod 0644 {KEY}; echo size=2 > {CONF}")
    assert ask(planned) == {
        "one": {
            "unit fixture.service": "stopped",
            f"file {KEY}": "mode 0644 instead of 0400",
            f"file {CONF}": "content differs\n--- planned\n+++ found\n@@ -1 +1 @@\n-size={{ 1 }}\n+size=2",
        }
    }
    assert apply(planned, "one") == {"one": (2, "")}
    assert ask(planned) == {}

    before = shell(planned, "one", "systemctl show -P MainPID fixture")
    news = copy.deepcopy(planned)
    news["files"][CONF] = root_file("size=3\n")
    assert apply(news, "one") == {"one": (2, "")}
    assert shell(planned, "one", "systemctl show -P MainPID fixture") != before

    bare = {**news, "files": {KEY: news["files"][KEY]}, "units": {}}
    stale = {"files": {path: news["files"][path] for path in (UNIT, CONF)}, "units": news["units"], "watchers": {}}
    assert apply(bare, "one", stale={"one": stale})["one"][1] == ""
    assert shell(planned, "one", f"ls {UNIT} {CONF} 2>/dev/null; systemctl show -P LoadState fixture") == "not-found"

    assert [reason for _, reason in apply(planned, "two", teardown=True).values()] == [""]
    assert shell(planned, "two", "ls -d /etc/fixture 2>/dev/null; systemctl show -P LoadState fixture") == "not-found"


def test_settings_and_mounts_that_run_otherwise_are_found_and_brought_back(planned: dict[str, Any]) -> None:
    mount, setting = "/etc/systemd/system/srv-x.mount", "/etc/sysctl.d/90-x.conf"
    unit = "[Mount]\nWhat=tmpfs\nWhere=/srv/x\nType=tmpfs\nOptions=nodev,nosuid,noexec\n"
    news = {
        **planned,
        "files": {mount: root_file(unit), setting: root_file("net.ipv4.tcp_fin_timeout = 41\n")},
        "units": {"srv-x.mount": {"enabled": False, "restart_on": [mount]}},
        "hosts": {"two": planned["hosts"]["two"]},
    }
    assert apply(news, "two") == {"two": (2, "")}
    unread = {"setting net/ipv4/tcp_fin_timeout": "60 instead of 41"}
    assert ask(news) == {"two": unread}
    shell(planned, "two", "mount -o remount,exec /srv/x")
    found = ask(news)
    assert found == {"two": {**unread, "mount /srv/x": "without noexec"}}
    again = mend.units({"drift": found}, news, "two")
    assert again == ("srv-x.mount", "systemd-sysctl.service")
    assert apply(news, "two", again={"two": again}) == {"two": (1, "")}
    assert ask(news) == {}
    assert apply(news, "two", teardown=True)["two"][1] == ""


def test_a_host_is_one_platform_s_and_one_computer_s_at_a_time(planned: dict[str, Any]) -> None:
    me = {"platform": "p1", "stack": "lab", "role": "fixture", "place": "ws1", "by": "ops@ws1"}
    elsewhere, other = {**me, "place": "ws2"}, {**me, "platform": "p2"}
    waits = {**planned, "vars": {**planned["vars"], "wait_for": "/root/gate"}}
    shell(planned, "one", "touch /root/gate")
    with ThreadPoolExecutor(1) as pool:
        first = pool.submit(apply, waits, "one", me=me)
        end = time.monotonic() + 50
        # `|| true`: until the first run's first task there is no such file, and the deadline bounds the wait.
        while "ws1" not in shell(planned, "one", f"cat {owner.PATH} || true"):
            assert time.monotonic() < end, "the first run has not come to its first task"
        refused = apply(planned, "one", me=elsewhere)["one"][1]
        shell(planned, "one", "rm /root/gate")
        assert first.result(timeout=60)["one"][1] == ""
    assert refused.startswith("Take the host: ops@ws1 is at work here since")
    assert f"Take the host: {owner.FOREIGN}: stack lab (p1)" in apply(planned, "one", me=other)["one"][1]
    assert ask({**planned, "platform": "p2"})["one"]["host"].startswith(owner.FOREIGN)
    private.close_connections()  # as when the first computer is dead
    assert apply(planned, "one", me=elsewhere)["one"][1] == ""
    assert apply(planned, "one", me=elsewhere, teardown=True)["one"][1] == ""
    assert shell(planned, "one", f"ls -d {Path(owner.PATH).parent} 2>/dev/null || echo gone") == "gone"


def test_many_questions_share_one_connection(planned: dict[str, Any]) -> None:
    connections.close()
    only = {**planned, "files": {}, "units": {}}
    with ThreadPoolExecutor(16) as pool:
        assert list(pool.map(ask, [only] * 16)) == [{}] * 16
    assert len(connections._slots) == len(HOSTS)


def test_an_interrupted_run_is_made_good_by_the_next(planned: dict[str, Any]) -> None:
    assert apply(planned, "one")["one"][1] == ""
    before = shell(planned, "one", "systemctl show -P MainPID fixture")
    news = copy.deepcopy(planned)
    news["files"][CONF] = root_file("size=4\n")
    # What a run leaves that is killed after the files and before the units:
    shell(planned, "one", f"sleep 1; echo size=4 > {CONF}")
    assert apply(news, "one") == {"one": (1, "")}
    assert shell(planned, "one", "systemctl show -P MainPID fixture") != before


def test_another_host_key_is_refused_on_both_ways(planned: dict[str, Any]) -> None:
    connections.close()
    private.close_connections()
    other = planned["hosts"]["two"]["hostKey"]
    mixed = {**planned, "hosts": {"one": {**planned["hosts"]["one"], "hostKey": other}}}
    ((_, reason),) = apply(mixed, "one").values()
    assert reason.startswith("unreachable")
    assert "does not match" in ask(mixed)["one"]["host"]


def test_a_machine_that_is_off_is_told_soon_and_holds_nobody_up(planned: dict[str, Any], lab: str) -> None:
    connections.close()
    private.close_connections()
    machine.stop(lab, "two")
    started = time.monotonic()
    assert ask(planned)["two"]["host"].startswith("unreachable: ")
    found = apply(planned)
    assert time.monotonic() - started < 90
    assert found["one"][1] == ""
    assert found["two"][1].startswith("unreachable")
    machine.start(lab, "two")


def test_nothing_is_left_here_when_the_provider_ends(planned: dict[str, Any]) -> None:
    apply(planned, "one")
    home = private.home()
    private.close()
    assert not Path(home).exists()
