"""Commands on hosts: what is executed, and how it ends."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

from platform_iac.checks.remote import TIMED_OUT, Remote, words

FAKE = f"""#!{sys.executable}
import json, os, subprocess, sys
arguments = sys.argv[1:]
command = arguments[arguments.index("--") + 1:]
assert len(command) == 1, command
sys.exit(subprocess.run(["sh", "-c", command[0]]).returncode)
"""


@pytest.fixture
def remote(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Remote:
    """A remote whose `ssh` gives the command to a shell here, as sshd does there."""
    ssh = tmp_path / "ssh"
    ssh.write_text(FAKE)
    ssh.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}{os.environ['PATH']}")
    return Remote(str(tmp_path / "ssh_config"))


@pytest.mark.parametrize("argument", ["a b", "$(touch /tmp/never)", "`id`", "'", '"', "*", "a\nb", "", "-n", "; false"])
def test_arguments_arrive_as_they_are(remote: Remote, argument: str) -> None:
    done = remote("gpu01", [sys.executable, "-c", "import sys; sys.stdout.write(sys.argv[1])", argument])
    assert (done.rc, done.out) == (0, argument)


def test_standard_input_and_both_outputs_are_kept_apart(remote: Remote) -> None:
    done = remote("gpu01", ["sh", "-c", "cat; echo wrong >&2; exit 3"], stdin="right")
    assert (done.rc, done.out, done.err, done.said) == (3, "right", "wrong\n", "wrong")


def test_a_command_that_takes_too_long_is_told(remote: Remote) -> None:
    done = remote("gpu01", ["sleep", "30"], timeout_seconds=0.5)
    assert done.rc == TIMED_OUT
    assert "sleep on gpu01 ran past 0.5 s" in done.err


def test_who_logs_in_as_another_uses_sudo(remote: Remote, tmp_path: Path) -> None:
    for name, text in {"id": "echo 1000", "sudo": 'echo "sudo $*" >&2; shift 2; exec "$@"'}.items():
        (tmp_path / name).write_text(f"#!/bin/sh\n{text}\n")
        (tmp_path / name).chmod(0o755)
    done = remote("gpu01", ["echo", "a  b"])
    assert (done.rc, done.out, done.err) == (0, "a  b\n", "sudo -n -- echo a  b\n")


def test_a_host_of_another_site_is_reached_by_that_sites_configuration(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "ssh").write_text('#!/bin/sh\necho "$2"\n')
    (tmp_path / "ssh").chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}{os.environ['PATH']}")
    remote = Remote("one", {"far001": "two"})
    assert [remote(host, ["true"]).out for host in ("near001", "far001")] == ["one\n", "two\n"]


def test_another_user_gets_a_login_and_the_same_arguments() -> None:
    assert words(["echo", "a b"], "root") == ["echo", "a b"]
    assert words(["echo", "a b"], "alice") == ["runuser", "-l", "alice", "-c", "exec echo 'a b'"]
