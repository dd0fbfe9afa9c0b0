"""What a host has is compared with what the plan says, and told in sentences."""

from __future__ import annotations

import grp
import json
import os
import pwd
import threading
from pathlib import Path
from typing import Any

import pytest

from platform_iac.provider.drift import probe, scan
from tests.provider.conftest import file

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
    return scan.scan(planned, ["here"], threading.Event()).get("here", {})


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
        "here": probe.user(me.pw_name, {"uid": me.pw_uid, "shell": me.pw_shell, "groups": []}),
        "differs": probe.user(me.pw_name, {"uid": me.pw_uid + 1, "groups": ["no-such-group"]}),
        "gone": probe.user("no-such-user", {"uid": 1}),
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
        assert probe._unit(wanted, block) == words, block


def test_packages_are_known_by_name_whatever_version_is_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    listed = "installed\tslurmd\t\ninstalled\tmariadb-server\tmysql-server, virtual-db (= 1)\nconfig-files\tmunge\t\n"
    monkeypatch.setattr(probe, "_output", lambda command: listed)
    asked = ["slurmd=22.05", "slurmd/bookworm", "slurmd:amd64", "virtual-db", "munge"]
    assert probe.packages(asked) == ["munge"]


def test_answers_become_sentences() -> None:
    answer = {
        "files": {},
        "packages": ["munge"],
        "units": {"slurmd.service": ["stopped", "disabled"]},
        "users": {"alice": {"uid": 7, "groups": ["render"]}, "bob": {"missing": True}},
    }
    assert scan.tell(answer, {}, {"alice": {"uid": 20001}, "bob": {"uid": 20002}}) == {
        "package munge": "not installed",
        "unit slurmd.service": "stopped, disabled",
        "user alice": "uid 7 instead of 20001; not in render",
        "user bob": "missing",
    }
