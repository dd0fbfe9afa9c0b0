"""An on-prem platform on machines that are there already: the same sequence, and a teardown that leaves them bare."""

from __future__ import annotations

import json
import re
import secrets
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from ruamel.yaml import YAML

from tests.twin import cleanup, logins
from tests.twin.stack import TOP, Stack, first_lines
from tests.twin_support import machines
from tests.twin_support.acceptance import inventory
from tests.twin_support.machines import Lab

pytestmark = [pytest.mark.twin, pytest.mark.timeout(2000)]

UP_SECONDS = 1200
# What Debian's packages keep on purpose, people's homes, which are not the platform's, and the awk that MariaDB
# brings: apt keeps one that is there, because an essential package asks for any.
KEPT = (
    r"(user|group) (munge|slurm|mysql|ceph|uuidd|rdma)|file /home/.*"
    r"|package ii  (gawk|libmpfr6|libsigsegv2)|file /(etc/profile\.d|usr/bin)/gawk.*"
)


@dataclass
class OnPrem:
    """Bare machines, what they had before, and the stack that is to make a platform of them."""

    lab: Lab
    stack: Stack
    known_hosts: Path
    before: dict[str, set[str]]


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[OnPrem]:
    """Machines made beforehand, and a spec that only names them."""
    name = f"onp-{secrets.token_hex(2)}"
    home = tmp_path_factory.mktemp(name)
    spec = _spec(name)
    with machines.lab(json.dumps(spec)) as lab:
        known_hosts = home / "known_hosts"
        known_hosts.write_text(lab.ssh_config.with_name("known_hosts").read_text())
        access = {"ssh_config": str(lab.ssh_config), "known_hosts": known_hosts.name}
        here = {"kind": "onprem", "domain": spec["sites"]["lab"]["domain"], "network": spec["sites"]["lab"]["network"]}
        path = home / f"{name}.yaml"
        path.write_text(json.dumps({**spec, "sites": {"lab": {**here, "gpus": "simulated", "access": access}}}))
        with cleanup.of_processes(home / "state"):
            stack = Stack(name, path, home, lab.name, lab.ssh_config)
            yield OnPrem(lab, stack, known_hosts, {host: inventory(lab, host) for host in stack.hosts})


def _spec(name: str) -> dict[str, Any]:
    """The stack `lab` without its services, its storage and its fabric, and with one node, as a lab site."""
    spec = YAML(typ="safe").load(TOP / "stacks" / "lab.yaml")
    del spec["services"], spec["pools"]["svc"], spec["sites"]["lab"]["forwards"]
    del spec["fabric"], spec["pools"]["mgr"], spec["storage"], spec["pools"]["stor"]
    spec["pools"]["gpu"]["hosts"] = "gpu01"
    return {**spec, "name": name}


def test_a_host_with_another_key_is_refused_and_the_others_go_on(site: OnPrem) -> None:
    true = site.known_hosts.read_text()
    site.known_hosts.write_text(_with_another_key(true, "gpu01"))
    moment = logins.now()
    done = site.stack.run("up", "--yes", "--skip-preview", timeout=UP_SECONDS)
    assert done.rc != 0
    assert re.search(r"gpu01: unreachable: .*[Hh]ost key", done.output), done.output[-8000:]
    seen = logins.since(site.lab.name, site.stack.hosts, moment)
    assert "gpu01" not in seen
    assert "ctl01" in seen
    assert differs(site, "gpu01") == set()
    site.known_hosts.write_text(true)


def test_with_its_true_key_up_finishes(site: OnPrem) -> None:
    site.stack.run("up", "--yes", "--skip-preview", timeout=UP_SECONDS).ok()
    site.stack.nothing_to_do()
    assert site.stack.ok("ctl01", "sinfo -hN -o '%N %G'").startswith("gpu01 gpu:h100:4")


def test_refresh_names_what_was_broken_and_up_mends_only_that(site: OnPrem) -> None:
    stack = site.stack
    stack.ok("login01", "chmod 0644 /etc/munge/munge.key")
    stack.ok("gpu01", "systemctl stop slurmd.service")
    assert first_lines(stack.refresh()) == {
        "munge": {"login01": {"file /etc/munge/munge.key": "mode 0644 instead of 0400"}},
        "slurm_node": {"gpu01": {"unit slurmd.service": "stopped"}},
    }
    assert stack.changes() == {"munge": "update", "slurm_node": "update"}
    moment = logins.now()
    stack.up()
    assert set(logins.since(stack.lab, stack.hosts, moment)) == {"login01", "gpu01"}
    assert stack.refresh() == {}
    stack.nothing_to_do()


def test_another_platform_that_names_these_hosts_is_refused_and_leaves_them_alone(
    site: OnPrem, tmp_path_factory: pytest.TempPathFactory
) -> None:
    name = f"{site.stack.name}-b"
    home = tmp_path_factory.mktemp(name)
    (home / site.known_hosts.name).write_text(site.known_hosts.read_text())
    spec = json.loads(site.stack.spec.read_text())
    path = home / f"{name}.yaml"
    teams = {**spec["teams"], "other": {"members": {"eve": {"uid": 20009}}}}
    path.write_text(json.dumps({**spec, "name": name, "teams": teams}))
    with cleanup.of_processes(home / "state"):
        other = Stack(name, path, home, site.lab.name, site.lab.ssh_config)
        moment = logins.now()
        done = other.run("up", "--yes", "--skip-preview", timeout=UP_SECONDS)
        assert done.rc != 0
        said = f"mirror01: Take the host: belongs to another platform: stack {site.stack.name} ("
        assert said in done.output, done.output[-8000:]
        assert "`pulumi config set platform:takeOver mirror01`" in done.output
        seen = logins.since(site.lab.name, other.hosts, moment)
        assert set(seen) == {"mirror01"}, "what comes after the mirror was not begun"
        other.run("destroy", "--yes", "--skip-preview", timeout=UP_SECONDS).ok()
        assert other.resources() == {}
    # `|| true`: getent ends with 2 where nobody has the name, and says so by saying nothing.
    assert site.stack.ok("ctl01", "getent passwd eve || true") == ""
    assert site.stack.refresh() == {}
    site.stack.nothing_to_do()


def test_destroy_tears_down_every_role_and_leaves_the_machines_bare(site: OnPrem) -> None:
    site.stack.run("destroy", "--yes", "--skip-preview", timeout=UP_SECONDS).ok()
    assert site.stack.resources() == {}
    left = [f"{host}: {line}" for host in site.stack.hosts for line in sorted(differs(site, host))]
    assert not left, "\n".join(left)


def differs(site: OnPrem, host: str) -> set[str]:
    """Return what a host has that it had not before, or has no more, but for what is kept on purpose."""
    return {line for line in inventory(site.lab, host) ^ site.before[host] if not re.fullmatch(KEPT, line)}


def _with_another_key(known_hosts: str, host: str) -> str:
    """Return the lines with a key for `host` that is valid and not its own."""
    public = Ed25519PrivateKey.generate().public_key()
    key = public.public_bytes(Encoding.OpenSSH, PublicFormat.OpenSSH).decode()
    lines = known_hosts.splitlines()
    return "".join(f"{line.split()[0]} {key}\n" if line.startswith(f"{host},") else f"{line}\n" for line in lines)
