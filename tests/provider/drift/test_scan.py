"""What a host has is compared with what the plan says, and told in sentences."""

from __future__ import annotations

import grp
import json
import os
import pwd
import threading
import time
from pathlib import Path
from typing import Any

import pytest

from platform_iac.provider.drift import mend, scan
from platform_iac.provider.drift.host import accounts, kernel, ownership, packages, units
from tests.provider.conftest import file, untouched

VALUE = "canary-5ec4e7"


@pytest.fixture
def planned(tmp_path: Path) -> dict[str, Any]:
    conf, key = tmp_path / "a.conf", tmp_path / "key"
    conf.write_text("one\ntwo\n")
    key.write_text(f"{VALUE}\n")
    key.chmod(0o400)
    return {
        "files": {str(conf): file("one\ntwo\n"), str(key): file("@@secret/k@@\n", "0400")},
        "secrets": {"k": VALUE},
        "hosts": {"here": {}},
        "sshConfig": "local",
    }


def ask(planned: dict[str, Any]) -> dict[str, str]:
    """What this computer says, without the lines about who touched it."""
    found = scan.scan(planned, ["here"], threading.Event()).get("here", {})
    return {thing: untouched(said) for thing, said in found.items()}


def test_a_host_as_planned_has_nothing_to_tell(planned: dict[str, Any]) -> None:
    assert ask(planned) == {}


def test_everything_about_a_file_is_told(planned: dict[str, Any], tmp_path: Path) -> None:
    (tmp_path / "a.conf").write_text("one\nTWO\n")
    (tmp_path / "key").chmod(0o644)
    planned["files"][str(tmp_path / "gone")] = file("x")
    (tmp_path / "link").symlink_to("a.conf")
    planned["files"][str(tmp_path / "link")] = file("x")
    assert ask(planned) == {
        f"file {tmp_path}/a.conf": "content differs\n--- planned\n+++ found\n@@ -1,2 +1,2 @@\n one\n-two\n+TWO",
        f"file {tmp_path}/key": "mode 0644 instead of 0400",
        f"file {tmp_path}/gone": "missing",
        f"file {tmp_path}/link": "a link instead of a file",
    }


def test_another_owner_is_told(planned: dict[str, Any], tmp_path: Path) -> None:
    owner = f"{pwd.getpwuid(os.getuid()).pw_name}:{grp.getgrgid(os.getgid()).gr_name}"
    planned["files"][f"{tmp_path}/a.conf"]["owner"] = "munge"
    expected = f"owner {owner} instead of munge:{owner.partition(':')[2]}"
    assert ask(planned) == {f"file {tmp_path}/a.conf": expected}


def test_a_changed_secret_is_noticed_and_neither_value_is_shown_or_sent(
    planned: dict[str, Any], tmp_path: Path
) -> None:
    key = tmp_path / "key"
    key.chmod(0o600)
    key.write_text("by-hand\n")
    key.chmod(0o400)
    assert ask(planned) == {f"file {key}": "content differs"}
    assert VALUE not in json.dumps(scan.expectations(planned, "here", "salt"))
    one, two = (scan.expectations(planned, "here", salt)["files"][str(key)]["sha256"] for salt in ("a", "b"))
    assert one != two


def test_a_host_that_cannot_be_asked_is_drift_and_no_error(planned: dict[str, Any], tmp_path: Path) -> None:
    config = tmp_path / "ssh_config"
    config.write_text("Host *\n  ProxyCommand false\n")
    planned |= {"sshConfig": str(config), "hosts": {"here": {"address": "127.0.0.1", "hostKey": "ssh-ed25519 AAAA"}}}
    assert ask(planned)["host"].startswith("unreachable: ")


def test_accounts_are_compared() -> None:
    me = pwd.getpwuid(os.getuid())
    answer = {
        "here": accounts.judge(me.pw_name, {"uid": me.pw_uid, "shell": me.pw_shell, "groups": []}),
        "differs": accounts.judge(me.pw_name, {"uid": me.pw_uid + 1, "groups": ["no-such-group"]}),
        "gone": accounts.judge("no-such-user", {"uid": 1}),
    }
    assert answer == {
        "here": {},
        "differs": {"uid": me.pw_uid, "groups": ["no-such-group"]},
        "gone": {"missing": True},
    }


def test_units_are_judged_by_what_systemd_says() -> None:
    running = {"LoadState": "loaded", "ActiveState": "active", "UnitFileState": "enabled"}
    cases: list[tuple[dict[str, Any], dict[str, str], list[str]]] = [
        ({}, running, []),
        ({}, running | {"ActiveState": "inactive"}, ["stopped"]),
        ({}, running | {"ActiveState": "failed"}, ["failed"]),
        ({}, running | {"ActiveState": "activating", "SubState": "auto-restart"}, ["failing again and again"]),
        ({}, running | {"ActiveState": "inactive", "UnitFileState": "disabled"}, ["stopped", "disabled"]),
        ({}, running | {"UnitFileState": "masked"}, ["masked"]),
        ({"running": False, "enabled": False}, running, ["running", "enabled"]),
        ({}, {"LoadState": "not-found"}, ["missing"]),
        ({"running": False, "enabled": False}, {"LoadState": "not-found"}, []),
    ]
    for wanted, block, words in cases:
        assert units.judge(wanted, block) == words, block


def test_packages_are_known_by_name_version_and_floor(monkeypatch: pytest.MonkeyPatch) -> None:
    listed = (
        "installed\tslurmd\t22.05.8-4+deb12u3\t\ninstalled\tmariadb-server\t1:10\tmysql-server, virtual-db (= 1)\n"
        "config-files\tmunge\t0.5\t\ninstalled\tlibmunge2\t0.5.15-2\t\n"
    )
    monkeypatch.setattr(packages, "output", lambda command: listed)
    asked = ["slurmd=22.05*", "slurmd=23.11", "slurmd/bookworm", "slurmd:amd64", "virtual-db", "munge", "libmunge2"]
    floors = {"slurmd": "22.05.8-4+deb12u3", "libmunge2": "0.5.15-2+deb12u1"}
    assert packages.wrong(asked, floors) == {
        "slurmd=23.11": "version 22.05.8-4+deb12u3 instead of 23.11",
        "munge": "not installed",
        "libmunge2": "version 0.5.15-2, below its floor 0.5.15-2+deb12u1",
    }


def test_a_unit_that_has_not_read_a_file_since_it_was_written_is_told(tmp_path: Path) -> None:
    path = tmp_path / "a.conf"
    path.write_text("")
    before, after = (str(int((time.monotonic() + seconds) * 1e6)) for seconds in (-60, 60))
    running = {"ActiveState": "active", "ActiveEnterTimestampMonotonic": before, "StateChangeTimestampMonotonic": after}
    cases: list[tuple[dict[str, Any], dict[str, str], set[str], list[str]]] = [
        ({"restart_on": [str(path)]}, running, set(), [f"started before {path} was last written"]),
        ({"restart_on": [str(path)]}, running, {str(path)}, []),
        ({"restart_on": [f"{path}.gone"], "reload_on": [str(path)]}, running, set(), []),
        (
            {"reload_on": [str(path)]},
            running | {"StateChangeTimestampMonotonic": before},
            set(),
            [f"has not read {path} since that was written"],
        ),
        ({"restart_on": [str(path)]}, running | {"ActiveState": "inactive"}, set(), []),
        ({}, running | {"NeedDaemonReload": "yes"}, set(), ["systemd has not read its unit file since that changed"]),
    ]
    for wanted, block, differing, words in cases:
        assert units.unread(wanted, block, differing) == words


def test_accounts_and_groups_that_are_too_many_are_told(monkeypatch: pytest.MonkeyPatch) -> None:
    def entry(name: str, uid: int, gecos: str) -> pwd.struct_passwd:
        return pwd.struct_passwd((name, "x", uid, uid, gecos, f"/home/{name}", "/bin/bash"))

    there = {each.pw_name: each for each in (entry("alice", 7, "platform-iac"), entry("left", 8, "platform-iac,,"))}
    monkeypatch.setattr(pwd, "getpwall", lambda: [*there.values(), entry("ops", 9, "")])
    monkeypatch.setattr(pwd, "getpwnam", lambda name: there[name])
    groups = [grp.struct_group(("alice", "x", 7, [])), grp.struct_group(("sudo", "x", 27, ["alice"]))]
    monkeypatch.setattr(grp, "getgrall", lambda: groups)
    assert accounts.wrong({"alice": {"uid": 7}}) == {"alice": {"more_groups": ["sudo"]}, "left": {"extra": True}}
    assert accounts.wrong({}) == {}


MOUNTS = """\
22 1 8:1 / / rw,relatime shared:1 - ext4 /dev/sda1 rw
40 22 0:40 / /home rw,relatime - nfs4 10.0.0.5:/srv/nfs/home rw,vers=4.1,rsize=262144,proto=tcp,hard,sec=sys
41 22 9:0 / /scr\\040atch rw,nosuid,nodev,noatime - xfs /dev/md127 rw,prjquota
"""


def test_mounts_are_compared_by_what_the_kernel_says(tmp_path: Path) -> None:
    table = tmp_path / "mountinfo"
    table.write_text(MOUNTS)
    nfs = {"what": "10.0.0.5:/srv/nfs/home", "type": "nfs"}
    xfs = {"what": "/dev/md127", "type": "xfs", "options": ["noatime", "nodev", "nosuid", "prjquota", "x-systemd.a"]}
    wanted = {
        "/home": {**nfs, "options": ["vers=4.1", "proto=rdma", "rsize=1048576", "nconnect=8", "hard", "nodev"]},
        "/scr atch": xfs,
        "/gone": xfs,
        "/": xfs,
    }
    assert kernel.mounts(wanted, str(table)) == {
        "/home": "proto=tcp instead of rdma, without nodev",
        "/gone": "not mounted",
        "/": "type ext4 instead of xfs",
    }
    elsewhere = {"/scr atch": {**xfs, "what": "/dev/md0"}}
    assert kernel.mounts(elsewhere, str(table)) == {"/scr atch": "/dev/md127 instead of /dev/md0"}


def test_settings_and_mounts_are_read_from_the_files_that_are_planned(tmp_path: Path) -> None:
    unit = "[Unit]\nDescription=a\n\n[Mount]\nWhat=/dev/md/data\nWhere=/scratch\nType=xfs\nOptions=noatime,nodev\n"
    planned = {
        "role": "storage",
        "files": {
            "/etc/sysctl.d/20-b.conf": {"content": "# no\nnet.core.rmem_max = 2\n-kernel.a=1\nnet.ipv4.conf.*.b=1\n"},
            "/etc/sysctl.d/90-a.conf": {"content": "net.core.rmem_max=3\nnet/ipv4/conf/eth0.1/forwarding = 1\n"},
            "/etc/systemd/system/scratch.mount": {"content": unit},
            "/etc/systemd/system/unused.mount": {"content": unit},
            "/etc/fstab": {"content": "# a\n/dev/sdb /data ext4 defaults,nodev 0 2\n/dev/sdc none swap sw 0 0\n"},
        },
        "units": {"scratch.mount": {}},
        "hosts": {"here": {}},
    }
    found = scan.expectations(planned, "here", "salt")
    assert found["settings"] == {"net/core/rmem_max": "3", "net/ipv4/conf/eth0.1/forwarding": "1"}
    assert found["mounts"] == {
        "/scratch": {"what": "/dev/md/data", "type": "xfs", "options": ["noatime", "nodev"], "unit": "scratch.mount"},
        "/data": {"what": "/dev/sdb", "type": "ext4", "options": ["defaults", "nodev"], "unit": ""},
    }
    drift = {"mount /scratch": "without nodev", "setting net/core/rmem_max": "2 instead of 3", "file /a": "missing"}
    assert mend.units({"drift": {"here": drift}}, planned, "here") == ("scratch.mount", "systemd-sysctl.service")
    assert mend.units({"drift": {"other": drift}}, planned, "here") == ()


def test_settings_are_compared_with_what_the_kernel_has(tmp_path: Path) -> None:
    (tmp_path / "net").mkdir()
    (tmp_path / "net" / "tcp_rmem").write_text("4096\t131072\t6291456\n")
    wanted = {"net/tcp_rmem": "4096 131072 6291456", "net/gone": "1"}
    assert kernel.settings(wanted, str(tmp_path)) == {"net/gone": "not known to this kernel"}
    assert kernel.settings({"net/tcp_rmem": "1 2 3"}, str(tmp_path)) == {
        "net/tcp_rmem": "4096 131072 6291456 instead of 1 2 3"
    }


def test_a_host_of_another_platform_is_told(tmp_path: Path) -> None:
    path = tmp_path / "owner.json"
    assert ownership.wrong("p1", str(path)) == ""
    path.write_text(json.dumps({"platform": "p2", "stack": "lab", "by": "ops@ws1"}))
    assert ownership.wrong("p1", str(path)) == "belongs to another platform: stack lab, applied by ops@ws1"
    assert ownership.wrong("p2", str(path)) == ownership.wrong("", str(path)) == ""


def test_a_role_s_own_module_is_asked_and_its_failure_hides_nothing(
    planned: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    role = tmp_path / "roles" / "answering"
    for name, body in (("good", "return {'thing b': 'is ' + argument}"), ("bad", "raise OSError('no daemon')")):
        (role / "library").mkdir(parents=True, exist_ok=True)
        text = f"from ansible.module_utils.basic import AnsibleModule\ndef drift(argument):\n    {body}\n"
        (role / "library" / f"{name}_one.py").write_text(text)
    (role / "meta").mkdir()
    (role / "meta" / "drift.yml").write_text("good_one: colour\nbad_one: files\nunasked: lacking\n")
    monkeypatch.setenv("PLATFORM_IAC_ROLES", str(tmp_path / "roles"))
    planned |= {"role": "answering", "vars": {"colour": "red"}}
    assert ask(planned) == {"thing b": "is red", "bad one": "cannot be asked: no daemon"}


def test_answers_become_sentences() -> None:
    answer = {
        "files": {},
        "packages": {"munge": "not installed"},
        "units": {"slurmd.service": ["stopped", "disabled"]},
        "users": {"alice": {"uid": 7, "groups": ["render"]}, "bob": {"missing": True}, "left": {"extra": True}},
        "settings": {},
        "mounts": {"/home": "not mounted"},
        "asked": {},
        "owner": "",
        "touched": {"unit slurmd.service": "changed 2026-11-26 02:31:00 UTC; ops used sudo as root"},
    }
    assert scan.tell(answer, {}, {"alice": {"uid": 20001}, "bob": {"uid": 20002}}) == {
        "package munge": "not installed",
        "unit slurmd.service": "stopped, disabled\nchanged 2026-11-26 02:31:00 UTC; ops used sudo as root",
        "mount /home": "not mounted",
        "user left": "is here, and no longer planned",
        "user alice": "uid 7 instead of 20001; not in render",
        "user bob": "missing",
    }
