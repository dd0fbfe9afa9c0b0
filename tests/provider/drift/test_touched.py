"""Who last touched what differs: told from the file system, dpkg's log and the journal, without any command's text."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

import pytest

from platform_iac.provider.drift.host import touched

NOTHING: dict[str, Any] = {"files": {}, "packages": {}, "units": {}, "users": {}}
KEY = "SHA256:PeSZpBuh0GtwopV5jptmnx5wMWpPUPvl4V9FpNJsmUA"


def entry(moment: float, pid: int, message: str, by: str = "sshd") -> str:
    return json.dumps(
        {
            "__REALTIME_TIMESTAMP": str(int(moment * 1e6)),
            "_PID": str(pid),
            "MESSAGE": message,
            "SYSLOG_IDENTIFIER": by,
        }
    )


def journal(monkeypatch: pytest.MonkeyPatch, *lines: str) -> list[list[str]]:
    asked: list[list[str]] = []

    def answers(command: list[str]) -> str:
        asked.append(command)
        return "\n".join(lines) if command[0] == "journalctl" else ""

    monkeypatch.setattr(touched, "output", answers)
    return asked


def test_who_was_logged_in_when_a_file_changed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "a.conf"
    path.write_text("by hand")
    moment = path.stat().st_ctime
    accepted = f"Accepted publickey for {{}} from 10.0.0.{{}} port 51234 ssh2: ED25519 {KEY}"
    journal(
        monkeypatch,
        entry(moment - 7200, 10, accepted.format("early", 4)),
        entry(moment - 3600, 10, "pam_unix(sshd:session): session closed for user early"),
        entry(moment - 600, 11, accepted.format("ops", 5)),
        entry(moment - 1, 12, "ops : TTY=pts/0 ; PWD=/ ; USER=root ; COMMAND=/usr/bin/mysql -psecret", "sudo"),
        entry(moment + 600, 13, accepted.format("late", 6)),
        "no JSON",
    )
    said = touched.touched({**NOTHING, "files": {str(path): {"mode": "0644"}}})
    when = time.strftime("%Y-%m-%d %H:%M:%S UTC", time.gmtime(moment))
    assert said == {
        f"file {path}": f"changed {when}; ops used sudo as root; ops was logged in from 10.0.0.5 with key {KEY}"
    }


def test_a_package_is_told_with_what_dpkg_did(tmp_path: Path) -> None:
    log = tmp_path / "dpkg.log"
    log.write_text(
        "2026-11-26 02:30:00 install slurmd:amd64 <none> 22.05\n"
        "2026-11-26 02:31:00 remove slurmd:amd64 22.05 <none>\n"
        "2026-11-26 02:31:01 status config-files slurmd:amd64 22.05\n"
        "torn\n"
    )
    moment = time.mktime((2026, 11, 26, 2, 31, 0, 0, 0, -1))
    assert touched._packages(["slurmd=22.05"], str(log)) == {"slurmd=22.05": (moment, "dpkg: remove")}
    assert touched._packages(["slurmd"], str(tmp_path / "none")) == {}


def test_nothing_is_asked_where_nothing_differs(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = journal(monkeypatch)
    assert touched.touched(NOTHING) == {}
    assert asked == []


def test_a_file_that_is_gone_has_the_time_of_its_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    journal(monkeypatch)
    when = time.strftime("%Y-%m-%d %H:%M:%S UTC", time.gmtime(tmp_path.stat().st_ctime))
    said = touched.touched({**NOTHING, "files": {f"{tmp_path}/gone": {"missing": True}}})
    assert said == {f"file {tmp_path}/gone": f"changed {when}"}
