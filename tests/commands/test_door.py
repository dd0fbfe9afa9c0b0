"""The way to on-prem hosts: the site's own configuration, but host keys from the spec only."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest
from paramiko import HostKeys

from platform_iac import cli
from platform_iac.commands.check import reach
from platform_iac.commands.door import ssh_config, user
from platform_iac.commands.errors import CommandError
from platform_iac.plan.make import make
from platform_iac.spec.load import STACKS, load, stacks

KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIHhYdgzGF8ktmxaE2gYWNhWkG0sTcMpMTkKTFUnOCQFm"
SPEC = """\
apiVersion: platform-iac/v1
name: metal
sites:
  dc1:
    {kind: onprem, domain: dc1.example.net, network: 10.20.0.0/16, access: {ssh_config: cfg, known_hosts: keys}}
pools:
  login: {site: dc1, duty: login, hosts: "login[01-02]", addresses: 10.20.0.12}
"""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    (tmp_path / "metal.yaml").write_text(SPEC)
    (tmp_path / "cfg").write_text(
        "Host login02\n  HostName 192.0.2.9\nHost *\n  User ops\n  StrictHostKeyChecking no\n"
    )
    (tmp_path / "keys").write_text(f"login01 {KEY}\nlogin02.dc1.example.net,10.20.0.13 {KEY}\n")
    return tmp_path


def settings(folder: Path, host: str) -> dict[str, str]:
    stack = str(folder / "metal.yaml")
    config = ssh_config(stack, make(load(stack)), "dc1")
    done = subprocess.run(
        ["ssh", "-G", "-F", str(config), host], capture_output=True, text=True, check=True, timeout=30
    )
    return dict(line.split(" ", 1) for line in done.stdout.splitlines() if " " in line)


def test_user_and_address_are_the_sites_own(folder: Path) -> None:
    assert settings(folder, "login02")["user"] == "ops"
    assert settings(folder, "login02")["hostname"] == "192.0.2.9"


def test_a_host_that_the_site_does_not_map_has_the_address_of_the_spec(folder: Path) -> None:
    assert settings(folder, "login01")["hostname"] == "10.20.0.12"


def test_host_keys_come_from_the_spec_whatever_the_configuration_says(folder: Path) -> None:
    for host, alias in (("login01", "login01"), ("login02", "login02.dc1.example.net")):
        found = settings(folder, host)
        assert found["stricthostkeychecking"] == "true"
        assert found["userknownhostsfile"] == str(folder / "keys")
        assert found["hostkeyalias"] == alias


def test_a_missing_configuration_is_told(folder: Path) -> None:
    stack = str(folder / "metal.yaml")
    plan = make(load(stack))
    (folder / "cfg").unlink()
    with pytest.raises(CommandError, match=r"`sites\.dc1\.access` names it"):
        ssh_config(stack, plan, "dc1")


def test_as_whom_a_host_is_logged_in_to(folder: Path) -> None:
    stack = str(folder / "metal.yaml")
    plan = make(load(stack))
    assert user(ssh_config(stack, plan, "dc1"), plan.hosts[0]) == "ops"
    (folder / "cfg").write_text("Hostt *\n")
    with pytest.raises(CommandError, match="Bad configuration option"):
        user(folder / "cfg", plan.hosts[0])


def test_every_host_of_two_sites_is_reached_by_its_own_configuration(folder: Path) -> None:
    more = "pools:\n  far: {site: dc2, duty: edge, hosts: far01, addresses: 10.30.0.1}\n"
    access = "access: {ssh_config: cfg, known_hosts: keys}"
    site = f"  dc2: {{kind: onprem, domain: dc2.example.net, network: 10.30.0.0/16, {access}}}\n"
    (folder / "metal.yaml").write_text(SPEC.replace("pools:\n", site + more))
    (folder / "keys").write_text((folder / "keys").read_text() + f"far01 {KEY}\n")
    stack = str(folder / "metal.yaml")
    remote = reach(stack, make(load(stack)))
    assert remote.ssh_config.endswith("metal-dc1.ssh_config")
    assert {host: Path(config).name for host, config in remote.others.items()} == {"far01": "metal-dc2.ssh_config"}


def test_all_hosts_without_a_key_are_told_at_once(folder: Path) -> None:
    stack = str(folder / "metal.yaml")
    assert cli.run(["validate", stack]) == 0
    (folder / "keys").write_text("")
    with pytest.raises(CommandError, match="keys has no key for login01, login02 — add it"):
        cli.run(["validate", stack])


def test_a_file_of_another_computer_is_not_judged(folder: Path) -> None:
    (folder / "metal.yaml").write_text(SPEC.replace("known_hosts: keys", "known_hosts: /etc/nowhere/keys"))
    assert cli.run(["validate", str(folder / "metal.yaml")]) == 0


def test_hashed_names_are_known_too(folder: Path) -> None:
    hashed = "".join(f"{HostKeys.hash_host(name)} {KEY}\n" for name in ("login01", "10.20.0.13"))
    (folder / "keys").write_text(hashed)
    assert cli.run(["validate", str(folder / "metal.yaml")]) == 0
    assert settings(folder, "login02")["hostkeyalias"] == "10.20.0.13"


@pytest.mark.parametrize("stack", stacks())
def test_the_stacks_that_we_ship_know_a_key_of_every_host(stack: str) -> None:
    plan = make(load(stack))
    for site in plan.sites:
        if "access" in site.settings:
            known = (STACKS / site.settings["access"]["known_hosts"]).read_text()
            names = set(re.split(r"[,\s]", known))
            assert not [host.name for host in plan.hosts if host.site == site.name and host.name not in names]
