"""Hosts are reached as OpenSSH's own reading of the configuration says."""

from __future__ import annotations

import shlex
import subprocess
from pathlib import Path
from typing import Any

import paramiko
import pytest

from platform_iac.provider import reach
from platform_iac.provider.drift import connections
from platform_iac.provider.runner import play

CONFIG = """\
Host gpu01
  HostName 10.0.0.5
  Port 2222
  HostKeyAlias gpu-one
Host inner
  HostName 10.0.0.6
  ProxyJump bastion
Host *
  User ops
  IdentityFile /keys/one
  IdentityFile /keys/two
  UserKnownHostsFile /known/a /known/b
  ProxyCommand nc %h %p
"""


@pytest.fixture
def config(tmp_path: Path) -> str:
    path = tmp_path / "config"
    path.write_text(CONFIG)
    return str(path)


def test_a_host_that_the_configuration_knows(config: str) -> None:
    target = reach.target("gpu01", {"address": "10.9.9.9"}, config)
    assert (target.hostname, target.port, target.user, target.alias) == ("10.0.0.5", 2222, "ops", "gpu-one")
    assert target.identity_files == ("/keys/one", "/keys/two")
    assert target.known_hosts == ("/known/a", "/known/b")
    assert target.proxy_command == "nc 10.0.0.5 2222"
    assert target.mapped


def test_a_host_that_it_does_not_know_is_reached_at_the_plan_s_address(config: str) -> None:
    target = reach.target("gpu02", {"address": "10.9.9.9"}, config)
    assert target.proxy_command == "nc 10.9.9.9 22"
    assert play.connection(target, Path("/run/x")) == {
        "ansible_ssh_common_args": "-o HostName=10.9.9.9",
        "ansible_python_interpreter": "/usr/bin/python3",
        "ansible_become": True,
    }


@pytest.mark.parametrize(
    ("hops", "options", "last"),
    [
        ("bastion", "", "bastion"),
        ("10.9.9.9", "", "10.9.9.9"),
        ("ops@[2001:db8::1]:2222", "-l ops -p 2222 ", "2001:db8::1"),
        ("ssh://ops@deep:99", "-l ops -p 99 ", "deep"),
        ("outer,ops@[2001:db8::2]:22,adm@bastion:2200", "-l adm -p 2200 -J 'outer,ops@[2001:db8::2]:22' ", "bastion"),
    ],
)
def test_jump_hosts_become_a_command(tmp_path: Path, hops: str, options: str, last: str) -> None:
    path = tmp_path / "config"
    path.write_text(f"Host inner\n  HostName 2001:db8::6\n  ProxyJump {hops}\nHost bastion\n  Port 2022\n")
    command = reach.target("inner", {}, str(path)).proxy_command
    assert command == f"ssh -F {path} {options}-W '[2001:db8::6]:22' {last}"
    taken = subprocess.run([*shlex.split(command), "-G"], capture_output=True, text=True, check=True, timeout=20).stdout
    assert f"hostname {last}\n" in taken


@pytest.mark.parametrize("there", [True, False])
def test_only_keys_that_are_there_are_offered(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, there: bool) -> None:
    path, key = tmp_path / "config", tmp_path / "key"
    path.write_text(f"Host *\n  IdentityFile {key}\n  IdentityFile {tmp_path / 'no'}\n  UserKnownHostsFile /no\n")
    if there:
        key.touch()
    offered: list[list[str]] = []

    def refuse(*_: Any, key_filename: list[str], **__: Any) -> None:
        offered.append(key_filename)
        raise paramiko.SSHException("refused")

    monkeypatch.setattr(paramiko.SSHClient, "connect", refuse)
    with pytest.raises(reach.ReachError, match="refused"):
        connections.run(reach.target("gpu01", {}, str(path)), "true", "", timeout_seconds=1)
    assert offered == [[str(key)] if there else []]


def test_the_plan_s_host_key_is_the_only_one_that_counts(config: str) -> None:
    target = reach.target("gpu01", {"hostKey": "ssh-ed25519 AAAA"}, config)
    assert play.known_hosts({"gpu01": target}) == "gpu01 ssh-ed25519 AAAA\n"
    options = play.connection(target, Path("/run/x"))["ansible_ssh_common_args"]
    assert "HostKeyAlias=gpu01" in options
    assert "UserKnownHostsFile=/run/x/known_hosts" in options
    assert "GlobalKnownHostsFile=/dev/null" in options


def test_a_configuration_that_ssh_refuses_is_said_so(tmp_path: Path) -> None:
    path = tmp_path / "config"
    path.write_text("Nonsense yes\n")
    with pytest.raises(reach.ReachError, match="nonsense"):
        reach.target("a", {}, str(path))
