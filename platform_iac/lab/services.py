"""What a lab's network runs on this workstation: its name service and its loopback forwards."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

from platform_iac.lab import cgroups, paths
from platform_iac.lab.paths import LabError
from platform_iac.lab.process import detach

NAMESPACES = Path("/run/netns")
_DNS = "_dns"
_FORWARD = "_forward-"


def inside(lab: str) -> list[str]:
    """The words that run a command in the lab's network. (`ip netns exec` would hide /sys.)"""
    return ["nsenter", f"--net={NAMESPACES / paths.netns(lab)}"]


def dns_argv(lab: str, address: str, interface: str, hosts: Path) -> list[str]:
    """The name service: answers from the hosts file alone, and knows that nothing else exists."""
    options = [
        "--keep-in-foreground",
        "--conf-file=/dev/null",
        "--pid-file=",
        "--user=root",
        "--no-hosts",
        f"--addn-hosts={hosts}",
        "--no-resolv",
        "--address=/#/",
        f"--listen-address={address}",
        f"--interface={interface}",
        "--except-interface=lo",
        "--bind-interfaces",
        "--log-facility=-",
    ]
    return [*inside(lab), "dnsmasq", *options]


def forward_argv(lab: str, port: int, target: str) -> list[str]:
    """A forward: listens on this workstation's loopback, connects from within the lab's network."""
    entrance = f"TCP-LISTEN:{port},bind=127.0.0.1,reuseaddr,fork"
    return ["socat", entrance, f'EXEC:"{" ".join(inside(lab))} socat - TCP:{target}"']


def serve_names(lab: str, address: str, interface: str, text: str) -> None:
    """Have the name service answer from this hosts text; a change does not interrupt it."""
    folder = paths.lab(lab)
    hosts = folder / "hosts"
    changed = not hosts.exists() or hosts.read_text(encoding="utf-8") != text
    if changed:
        paths.write(hosts, text)
    argv = dns_argv(lab, address, interface, hosts)
    running = _running(lab, _DNS, "dnsmasq", argv)
    if not running:
        cgroups.remove(lab, _DNS)
        detach(argv, cgroups=cgroups.create(lab, _DNS), log=folder / "dns.log")
    elif changed:
        for pid in running:
            os.kill(pid, signal.SIGHUP)


def forward(lab: str, forwards: Mapping[int, str]) -> None:
    """Have exactly these loopback ports lead to these `address:port` in the lab.

    Raises:
        LabError: another program listens on one of the ports.
    """
    wanted = {f"{_FORWARD}{port}": (port, target) for port, target in forwards.items()}
    for path in cgroups.paths(lab)[0].glob(f"{_FORWARD}*"):
        if path.name not in wanted:
            cgroups.remove(lab, path.name)
    for name, (port, target) in wanted.items():
        argv = forward_argv(lab, port, target)
        if _running(lab, name, "socat", argv):
            continue
        cgroups.remove(lab, name)
        _check_free(port)
        detach(argv, cgroups=cgroups.create(lab, name), log=paths.lab(lab) / "forward.log")
        _wait_listening(port)


def _running(lab: str, name: str, program: str, argv: Sequence[str]) -> list[int]:
    """The processes in this cgroup that are this program with these arguments."""
    wanted = list(argv[argv.index(program) :])
    return [pid for pid in cgroups.processes(lab, name) if _command(pid) == wanted]


def _command(pid: int) -> list[str]:
    with contextlib.suppress(OSError):
        return Path(f"/proc/{pid}/cmdline").read_text(encoding="utf-8").split("\0")[:-1]
    return []


def _check_free(port: int) -> None:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError as error:
            raise LabError(f"127.0.0.1:{port} is in use — choose another port in the site's `forwards`") from error


def _wait_listening(port: int, *, timeout_seconds: float = 5) -> None:
    """Wait until /proc/net/tcp shows a listener (state 0A); connecting would already be forwarded."""
    end = time.monotonic() + timeout_seconds
    wanted = f"0100007F:{port:04X} 00000000:0000 0A"
    while wanted not in Path("/proc/net/tcp").read_text(encoding="utf-8"):
        if time.monotonic() > end:
            raise LabError(f"the forward from 127.0.0.1:{port} did not start — see forward.log in the lab's folder")
        time.sleep(0.02)
