"""A lab for a test: the machines of a spec, without Pulumi."""

from __future__ import annotations

import contextlib
import os
import secrets
import shutil
import subprocess
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import MappingProxyType

from platform_iac.kinds.site._base import MIRROR_ROOT
from platform_iac.lab import artifacts, guest_image, image, machine, network
from platform_iac.lab.machine import Bind, Guest
from platform_iac.plan.make import make
from platform_iac.plan.model import Host, Plan
from platform_iac.provider.secret import draw
from platform_iac.spec.load import loads


@dataclass(frozen=True, slots=True)
class Done:
    """How a command ended. `text` is standard output and standard error together."""

    rc: int
    text: str

    def ok(self) -> str:
        """Return the text; AssertionError with it where the command failed."""
        assert self.rc == 0, self.text[-8000:]
        return self.text


@dataclass(frozen=True, slots=True)
class Lab:
    """Machines that run, and the plan they are to follow."""

    name: str
    plan: Plan
    ssh_config: Path
    secrets: dict[str, str] = field(default_factory=dict)

    def run(self, host: str, command: str, *, user: str = "root", timeout: int = 120) -> Done:
        """Run a shell command on a host; as another account through root's `runuser`."""
        argv = ["ssh", "-F", str(self.ssh_config), host, "--"]
        if user != "root":
            argv += ["runuser", "-l", user, "-c"]
            command = f"'{command}'"
        return call([*argv, command], timeout=timeout)

    def ok(self, host: str, command: str, *, user: str = "root", timeout: int = 120) -> str:
        """Run a command that must succeed and return what it said."""
        return self.run(host, command, user=user, timeout=timeout).ok()


def call(argv: list[str], *, timeout: int, env: dict[str, str] | None = None, cwd: Path | None = None) -> Done:
    """Run a command here; running past `timeout` seconds counts as rc 124."""
    try:
        done = subprocess.run(
            argv,
            capture_output=True,
            text=True,
            timeout=timeout,
            check=False,
            stdin=subprocess.DEVNULL,
            env={**os.environ, **(env or {})},
            cwd=cwd,
        )
    except subprocess.TimeoutExpired as error:
        said = error.stdout or b""
        text = said.decode(errors="replace") if isinstance(said, bytes) else said
        return Done(124, f"{text}\nran past {timeout} s: {' '.join(argv)}")
    return Done(done.returncode, done.stdout + done.stderr)


@contextlib.contextmanager
def lab(
    spec: str,
    *,
    packages: tuple[str, ...] = (),
    pip: tuple[str, ...] = (),
    guests: Mapping[str, Guest] = MappingProxyType({}),
    only: tuple[str, ...] = (),
) -> Iterator[Lab]:
    """Make the machines of the one lab site of a spec (text), with a mirror that holds what its plan installs.

    Hosts in `guests` have a kernel of their own, and what it says of memory and drives. With `only` just these
    hosts are made, and the plan's runs are for them; what their files say of others stays.

    The lab's name is random, so tests never meet each other; everything is removed at the end.
    """
    platform = loads(spec)
    plan = _limited(make(platform), only)
    (site_name,) = platform.sites
    site = platform.sites[site_name]
    name = f"t-{secrets.token_hex(4)}"
    hosts = {host.name: host.address for host in plan.hosts}
    made = [host for host in plan.hosts if host.name in (only or hosts)]
    root = image.ensure(print)
    kernel = guest_image.ensure(print) if guests else root
    mirror = artifacts.ensure({*plan.packages, *packages}, {*plan.pip, *pip}, root, print)
    try:
        net = network.ensure(name, site.network, hosts, domain=site.domain)
        with ThreadPoolExecutor(max_workers=8) as pool:
            list(
                pool.map(lambda host: _boot(name, host, kernel if host.name in guests else root, mirror, guests), made)
            )
        yield Lab(name, plan, net.ssh_config, {item.name: draw(item.length_bytes, item.form) for item in plan.secrets})
    finally:
        for host in made:
            machine.delete(name, host.name)
        network.delete(name)


def _limited(plan: Plan, only: tuple[str, ...]) -> Plan:
    if not only:
        return plan
    runs = [replace(run, hosts=tuple(host for host in run.hosts if host in only)) for run in plan.runs]
    return replace(plan, runs=tuple(run for run in runs if run.hosts))


def _boot(lab_name: str, host: Host, image_folder: Path, mirror: Path, guests: Mapping[str, Guest]) -> None:
    binds = (Bind(source=str(mirror), target=MIRROR_ROOT),) if host.duty == "mirror" else ()
    machine.create(lab_name, host.name, host.address, image_folder, binds, body=guests.get(host.name))


def available() -> bool:
    """Tell whether this machine can run machines at all: root, with systemd-nspawn."""
    return os.geteuid() == 0 and shutil.which("systemd-nspawn") is not None
