from pathlib import Path

import paramiko
import pytest

from platform_iac.lab import network, services
from platform_iac.lab.paths import LabError

HOSTS = {"gpu01": "10.1.0.21", "ctl01": "10.1.0.11"}


def test_names_are_answered_in_full_and_in_short() -> None:
    assert network.hosts_text(HOSTS, "dc.test") == "10.1.0.11 ctl01.dc.test ctl01\n10.1.0.21 gpu01.dc.test gpu01\n"


def test_ssh_config_reaches_a_host_by_each_of_its_names(tmp_path: Path) -> None:
    config = paramiko.SSHConfig.from_text(network.ssh_config_text(HOSTS, "dc.test", tmp_path, "platform-iac-x"))
    for name in ("gpu01", "gpu01.dc.test", "10.1.0.21"):
        found = config.lookup(name)
        assert (found["hostname"], found["hostkeyalias"], found["user"]) == ("10.1.0.21", "gpu01", "root")
        assert found["stricthostkeychecking"] == "yes"
        assert "/run/netns/platform-iac-x" in found["proxycommand"]


@pytest.mark.parametrize(
    ("hosts", "said"),
    [
        ({"a": "10.2.0.5"}, "is not in"),
        ({"a": "10.1.0.1"}, "the address of the gateway"),
        ({"a": "10.1.0.5", "b": "10.1.0.5"}, "the address of a"),
        ({"A;reboot": "10.1.0.5"}, "is no name"),
    ],
)
def test_hosts_that_cannot_be_are_refused(hosts: dict[str, str], said: str, tmp_path: Path) -> None:
    with pytest.raises(LabError, match=said):
        network.ensure("x", "10.1.0.0/24", hosts)


def test_the_name_service_has_no_upstream_and_reads_no_configuration() -> None:
    argv = services.dns_argv("x", "10.1.0.1", "br0", Path("/hosts"))
    assert {"--no-resolv", "--no-hosts", "--conf-file=/dev/null", "--address=/#/"} <= set(argv)


def test_a_forward_listens_on_loopback_only() -> None:
    entrance = services.forward_argv("x", 5000, "10.1.0.11:80")[1]
    assert entrance.startswith("TCP-LISTEN:5000,bind=127.0.0.1,")


@pytest.mark.parametrize("target", ["nobody:80", "gpu01:http", "gpu01"])
def test_a_forward_to_nowhere_is_refused(target: str) -> None:
    with pytest.raises(LabError, match="no such host or port"):
        network._target(HOSTS, target)
