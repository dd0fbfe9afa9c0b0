"""Processes of a stack: found by what they carry themselves, never by a broad name."""

from __future__ import annotations

import contextlib
import os
import signal
from collections.abc import Iterable
from pathlib import Path

from platform_iac.lab import cgroups

PROVIDER = "platform_iac/provider"
ANSIBLE = "ansible-playbook"


def find(mark: str, *words: str) -> list[int]:
    """Return the processes whose environment has the variable `mark` and whose command line has all `words`."""
    return [
        pid
        for pid, argv in everyone()
        if all(word.encode() in argv for word in words) and mark.encode() in _read(pid, "environ").split(b"\0")
    ]


def everyone() -> Iterable[tuple[int, bytes]]:
    """Yield every other process of this computer with its command line."""
    for entry in Path("/proc").iterdir():
        if entry.name.isdecimal() and int(entry.name) != os.getpid():
            yield int(entry.name), _read(int(entry.name), "cmdline")


def variable(pid: int, name: str) -> str:
    """Return what a variable is in the environment of a process, empty where it is not there."""
    begin = f"{name}=".encode()
    found = [entry for entry in _read(pid, "environ").split(b"\0") if entry.startswith(begin)]
    return found[0][len(begin) :].decode() if found else ""


def groups(pid: int) -> list[str]:
    """Return the control groups that a process is in, as the kernel writes them."""
    return _read(pid, "cgroup").decode().splitlines()


def of_lab(lab: str) -> set[int]:
    """Return the processes of a lab: its machines' and its network's."""
    return cgroups.processes(lab)


def kill(pids: Iterable[int]) -> None:
    """Kill them at once, as a power cut would."""
    for pid in pids:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)


def _read(pid: int, name: str) -> bytes:
    try:
        return Path(f"/proc/{pid}/{name}").read_bytes()
    except OSError:
        return b""
