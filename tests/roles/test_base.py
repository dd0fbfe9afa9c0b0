"""Roles mirror and base on machines: the acceptance, and what they promise."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.twin_support import machines
from tests.twin_support.acceptance import accept, unchanged
from tests.twin_support.ansible import play
from tests.twin_support.machines import Lab

pytestmark = pytest.mark.twin

KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIHhYdgzGF8ktmxaE2gYWNhWkG0sTcMpMTkKTFUnOCQFm alice"
SPEC = f"""
apiVersion: platform-iac/v1
name: rolebase
sites:
  lab: {{kind: lab, domain: lab.example.net, network: 10.78.0.0/24}}
pools:
  infra: {{site: lab, duty: mirror, hosts: mirror01, addresses: 10.78.0.10}}
  login: {{site: lab, duty: login, hosts: login01, addresses: 10.78.0.12}}
teams:
  vision: {{members: {{alice: {{uid: 20001, authorized_keys: ["{KEY}"]}}, carol: {{uid: 20003}}}}}}
"""


@pytest.fixture(scope="module")
def lab() -> Iterator[Lab]:
    with machines.lab(SPEC) as made:
        yield made


def test_mirror_passes_the_acceptance(lab: Lab) -> None:
    accept(lab, "mirror")


def test_mirror_serves_packages_and_wheels_and_takes_nothing(lab: Lab) -> None:
    program = "import sys, urllib.request as u; print(u.urlopen(u.Request(sys.argv[1], method=sys.argv[2])).status)"
    ask = f"python3 -c '{program}'"
    assert lab.ok("login01", f"{ask} http://mirror01/debian/Packages GET").strip() == "200"
    assert lab.ok("login01", f"{ask} http://mirror01/pypi/simple/ GET").strip() == "200"
    assert "403" in lab.run("login01", f"{ask} http://mirror01/debian/Packages PUT").text


def test_base_passes_the_acceptance(lab: Lab) -> None:
    # Nothing needs sudo here: apt may remove it by itself, and yet it is the host's own.
    lab.ok("login01", "apt-mark auto sudo")
    # The home stays when an account goes: what is in it belongs to its owner, not to the role.
    accept(lab, "base", stays=r"file /home/.*")


def test_apt_treats_the_hosts_packages_as_before_once_the_platform_is_gone(lab: Lab) -> None:
    assert "sudo" in lab.ok("login01", "apt-mark showmanual").split()
    play(lab, "base", hosts=("login01",), moment="teardown").ok()
    assert "sudo" in lab.ok("login01", "apt-mark showauto").split()
    assert not lab.ok("login01", "find /var/lib -path '*/platform-iac/packages*'")
    play(lab, "base", hosts=("login01",)).ok()


def test_a_host_that_kept_its_time_before_keeps_it_after_the_platform(lab: Lab) -> None:
    lab.ok("login01", "echo systemd-timesyncd >>/var/lib/platform-iac/packages")
    play(lab, "base", hosts=("login01",), moment="teardown").ok()
    assert "\npool 2.debian.pool.ntp.org iburst" in lab.ok("login01", "cat /etc/chrony/chrony.conf")
    assert lab.ok("login01", "systemctl is-enabled chrony.service").strip() == "enabled"
    play(lab, "base", hosts=("login01",)).ok()


def test_hosts_install_from_the_mirror_only(lab: Lab) -> None:
    uris = lab.ok("login01", "apt-get --print-uris update").splitlines()
    assert uris
    assert all(line.startswith("'http://mirror01/debian/") for line in uris)


def test_a_package_that_is_installed_does_not_start_its_service(lab: Lab) -> None:
    lab.ok("login01", "DEBIAN_FRONTEND=noninteractive apt-get -qq install nginx-light")
    assert lab.run("login01", "systemctl is-active nginx").text.strip() == "inactive"
    lab.ok(
        "login01", "systemctl start nginx && DEBIAN_FRONTEND=noninteractive apt-get -qq purge nginx-light nginx-common"
    )


def test_members_have_the_same_uid_everywhere_and_private_homes(lab: Lab) -> None:
    for host in ("mirror01", "login01"):
        assert lab.ok(host, "id -u alice; id -g alice; stat -c %a:%U /home/alice").split() == [
            "20001",
            "20001",
            "700:alice",
        ]
    assert lab.ok("login01", "pwd; umask", user="alice").split()[0] == "/home/alice"
    assert KEY in lab.ok("login01", "cat /etc/ssh/authorized_keys.d/alice")
    assert lab.ok("login01", "getent shadow alice").split(":")[1].startswith("!")


def test_members_are_refused_on_hosts_that_are_not_for_them(lab: Lab) -> None:
    assert "denyusers alice" in lab.ok("mirror01", "sshd -T")
    assert "denyusers" not in lab.ok("login01", "sshd -T")


def test_nobody_logs_in_with_a_password(lab: Lab) -> None:
    settings = lab.ok("login01", "sshd -T").splitlines()
    for line in ("passwordauthentication no", "kbdinteractiveauthentication no", "permitrootlogin without-password"):
        assert line in settings


def test_hosts_take_their_time_from_the_mirror(lab: Lab) -> None:
    lab.ok("login01", "chronyc -n waitsync 15 0 0 2 >/dev/null")
    assert "^*,10.78.0.10" in lab.ok("login01", "chronyc -nc sources").replace("^,*", "^*")


def test_who_leaves_the_team_loses_the_account_and_keeps_the_home(lab: Lab) -> None:
    lab.ok("login01", "useradd -u 20009 -c platform-iac -m mallory")
    play(lab, "base", hosts=("login01",)).ok()
    assert lab.run("login01", "id mallory").rc != 0
    assert lab.ok("login01", "ls -d /home/mallory").strip() == "/home/mallory"


def test_an_account_in_the_way_is_named_and_never_taken_over(lab: Lab) -> None:
    lab.ok("login01", "userdel carol; useradd -u 4321 carol")
    assert "carol is there already and is not this platform's" in play(lab, "base", hosts=("login01",)).output
    lab.ok("login01", "userdel carol")
    play(lab, "base", hosts=("login01",)).ok()
    unchanged(lab, "base")


def test_a_login_daemon_that_cannot_read_its_configuration_is_not_reloaded(lab: Lab) -> None:
    lab.ok("login01", "echo Nonsense yes > /etc/ssh/sshd_config.d/99-mistake.conf")
    failed = play(lab, "base", hosts=("login01",))
    assert failed.rc != 0
    assert "99-mistake.conf" in failed.output
    lab.ok("login01", "rm /etc/ssh/sshd_config.d/99-mistake.conf")


def test_what_a_host_had_is_known_until_the_last_role_has_left_it(lab: Lab) -> None:
    note, state = "/var/lib/platform-iac/packages", "dpkg-query -W -f '${db:Status-Status}' nginx-light"
    lab.ok("mirror01", f"echo nginx-light >>{note}")
    play(lab, "base", hosts=("mirror01",), moment="teardown").ok()
    lab.ok("mirror01", f"grep -x nginx-light {note}")
    play(lab, "mirror", moment="teardown").ok()
    assert lab.ok("mirror01", state) == "installed"
    lab.ok("mirror01", f"test ! -e {note}")
