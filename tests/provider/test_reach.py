"""Hosts are reached as OpenSSH's own reading of the configuration says."""

from __future__ import annotations

from pathlib import Path

import pytest

from platform_iac.provider import reach
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


def test_a_jump_host_becomes_a_command(config: str) -> None:
    target = reach.target("inner", {}, config)
    assert target.proxy_command == f"ssh -F {config} -W 10.0.0.6:22 bastion"


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
