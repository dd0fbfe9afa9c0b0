"""Where a run keeps what it needs: a folder in memory that only we can enter, and that goes away.

One folder per provider process, one below it per run. What a killed provider left, processes
included, is removed when the next one starts.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import subprocess
import threading
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from tempfile import mkdtemp

MARK = "PLATFORM_IAC_RUN"
"""Environment variable of every process of a run; its value is the run's folder."""

REMOVALS = 100

_lock = threading.Lock()
_own: list[Path] = []


def base() -> Path:
    """The folder of all providers of this user. Its name is short: sockets may have 107 characters."""
    memory = Path("/dev/shm")  # noqa: S108  made private below, and refused where it is not ours
    parent = memory if memory.is_dir() and os.access(memory, os.W_OK) else Path("/tmp")  # noqa: S108
    return parent / f"piac-{os.getuid()}"


def home() -> Path:
    """Return this process's folder, made at the first call after sweeping what dead ones left."""
    with _lock:
        if not _own:
            _make(base())
            sweep()
            _own.append(_make(base() / f"{os.getpid()}-{_started(os.getpid())}"))
            _make(_own[0] / "s")
        return _own[0]


@contextlib.contextmanager
def run_folder() -> Iterator[Path]:
    """A fresh folder with mode 0700 for one run; it and the run's processes are gone afterwards."""
    folder = Path(mkdtemp(prefix="r-", dir=home()))
    try:
        yield folder
    finally:
        end_processes(folder, masters=False)
        remove_tree(folder)


@contextlib.contextmanager
def secret_file(secrets: Mapping[str, str]) -> Iterator[str]:
    """The path of a JSON file that exists only in memory and only while this process holds it."""
    descriptor = os.memfd_create("secrets", os.MFD_CLOEXEC)
    try:
        os.write(descriptor, json.dumps(dict(secrets)).encode())
        yield f"/proc/{os.getpid()}/fd/{descriptor}"
    finally:
        os.close(descriptor)


def close() -> None:
    """Remove this process's folder and end what it still shares with hosts."""
    with _lock:
        for folder in _own:
            _remove(folder)
        _own.clear()


def close_connections() -> None:
    """End the connections that are kept open to hosts, for example before their machine is deleted."""
    with _lock:
        for folder in _own:
            _end_masters(folder)


def sweep() -> None:
    """Remove the folders of providers that are dead, and end the processes they left running."""
    for folder in base().iterdir():
        pid, _, started = folder.name.partition("-")
        if not (pid.isdecimal() and started == _started(int(pid))):
            _remove(folder)


def end_processes(folder: Path, *, masters: bool = True) -> None:
    """Kill every process of the runs in `folder`; Ansible's workers have sessions of their own.

    Without `masters` the connections that ssh keeps open for the next run stay.
    """
    marked = _marked(folder)
    kept = set() if masters else {pid for pid in marked if _command(pid).startswith("ssh: ")}
    for pid in marked:
        if pid in kept or int((_stat(pid) or ["", "0"])[1]) in kept:
            continue
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.kill(pid, signal.SIGKILL)


def remove_tree(folder: Path) -> None:
    """Remove a folder although a process that was just killed may still be writing its last to it."""
    for _ in range(REMOVALS):
        shutil.rmtree(folder, ignore_errors=True)
        if not folder.exists():
            return
        time.sleep(0.05)


def _remove(folder: Path) -> None:
    _end_masters(folder)
    end_processes(folder)
    remove_tree(folder)


def _end_masters(folder: Path) -> None:
    for socket in (folder / "s").glob("*"):
        command = ["ssh", "-o", f"ControlPath={socket}", "-O", "exit", "-F", "/dev/null", "any"]
        with contextlib.suppress(OSError, subprocess.TimeoutExpired):
            subprocess.run(command, capture_output=True, timeout=5, check=False)


def _marked(folder: Path) -> list[int]:
    prefix = f"{MARK}={folder}".encode()
    found = []
    for entry in Path("/proc").iterdir():
        if not entry.name.isdecimal() or int(entry.name) == os.getpid():
            continue
        try:
            environment = (entry / "environ").read_bytes().split(b"\0")
        except OSError:
            continue
        if any(item == prefix or item.startswith(prefix + b"/") for item in environment):
            found.append(int(entry.name))
    return found


def _started(pid: int) -> str:
    """When a process began, in clock ticks since boot: with the pid it names the process for good."""
    return (_stat(pid) or [""] * 20)[19]


def _stat(pid: int) -> list[str]:
    """The fields of /proc/PID/stat from the state on (parent second), none for a process that is gone."""
    try:
        return Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()
    except OSError:
        return []


def _command(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/cmdline").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""


def _make(folder: Path) -> Path:
    folder.mkdir(mode=0o700, exist_ok=True)
    status = folder.lstat()
    if status.st_uid != os.getuid() or status.st_mode & 0o077 or not folder.is_dir() or folder.is_symlink():
        raise PermissionError(f"{folder} is not a private folder of this user — remove it")
    return folder
