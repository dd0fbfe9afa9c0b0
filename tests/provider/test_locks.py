"""One run at a time on a host."""

from __future__ import annotations

import subprocess
import sys
import threading
from pathlib import Path

import pytest

from platform_iac.provider import locks

pytestmark = pytest.mark.usefixtures("private_state")
ONE = {"one": {"address": "1"}}
MANY = """\
import resource, threading
_, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
resource.setrlimit(resource.RLIMIT_NOFILE, (256, hard))
from platform_iac.provider import __main__, locks
__main__._more_descriptors()
with locks.hold({f"gpu{number:04}": {"address": ""} for number in range(1100)}, threading.Event()):
    pass
"""


def test_a_second_run_on_the_host_waits_and_can_be_cancelled() -> None:
    cancelled = threading.Event()
    cancelled.set()
    with locks.hold(ONE, threading.Event()), pytest.raises(locks.CancelledError), locks.hold(ONE, cancelled):
        raise AssertionError("both hold the lock")


def test_the_lock_is_free_afterwards_and_other_hosts_are_not_affected() -> None:
    never = threading.Event()
    with locks.hold(ONE, never), locks.hold({"one": {"address": "2"}}, never):
        pass
    with locks.hold(ONE, never):
        pass


def test_a_machine_is_known_by_its_host_key_whatever_its_name() -> None:
    assert locks.identity("a", {"hostKey": "k", "address": "1"}) == locks.identity("b", {"hostKey": "k"})


def test_locks_are_private(tmp_path: Path) -> None:
    with locks.hold(ONE, threading.Event()):
        assert locks.folder().is_relative_to(tmp_path)
        assert locks.folder().stat().st_mode & 0o077 == 0


def test_a_thousand_hosts_are_held_at_once() -> None:
    subprocess.run([sys.executable, "-c", MANY], check=True, timeout=60)
