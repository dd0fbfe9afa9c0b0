"""One run at a time on a host, whatever else this computer is doing to it."""

from __future__ import annotations

import contextlib
import fcntl
import getpass
import hashlib
import os
import socket
import threading
import time
import uuid
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

WAIT_SECONDS = 0.2


class CancelledError(RuntimeError):
    """The engine asked to stop before the lock was free."""


def folder() -> Path:
    """Where the locks are; files stay there, empty."""
    state = os.environ.get("XDG_STATE_HOME") or str(Path.home() / ".local" / "state")
    return Path(state) / "platform-iac" / "locks"


def identity(name: str, host: Mapping[str, Any]) -> str:
    """What tells one machine from another: its host key, else its name and address."""
    return str(host.get("hostKey") or f"{name} {host.get('address', '')}")


def place() -> dict[str, str]:
    """Return where these locks hold: `place`, an id of this user on this computer, and `by`, its name for people."""
    path = _made(folder().parent) / "place"
    if not path.exists():
        mine = path.with_name(f".place.{os.getpid()}.{threading.get_ident()}")
        mine.write_text(uuid.uuid4().hex, encoding="utf-8")
        with contextlib.suppress(FileExistsError):
            os.link(mine, path)  # never replaces: of two that do this at once, both end with the same id
        mine.unlink()
    return {"place": path.read_text(encoding="utf-8"), "by": f"{getpass.getuser()}@{socket.gethostname()}"}


@contextlib.contextmanager
def hold(hosts: Mapping[str, Mapping[str, Any]], cancelled: threading.Event) -> Iterator[None]:
    """Hold the locks of all these hosts. The kernel lets go when the process ends, however it ends.

    They are taken in one order by everyone, so two runs never wait for each other.

    Raises:
        CancelledError: while waiting.
    """
    top = _made(folder())
    names = sorted({hashlib.sha256(identity(name, host).encode()).hexdigest()[:32] for name, host in hosts.items()})
    with contextlib.ExitStack() as stack:
        for name in names:
            descriptor = os.open(top / name, os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600)
            stack.callback(os.close, descriptor)
            _take(descriptor, cancelled)
        yield


def _made(top: Path) -> Path:
    top.mkdir(mode=0o700, parents=True, exist_ok=True)
    return top


def _take(descriptor: int, cancelled: threading.Event) -> None:
    while True:
        with contextlib.suppress(BlockingIOError):
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return
        if cancelled.is_set():
            raise CancelledError("stopped while waiting for another run on the same host")
        time.sleep(WAIT_SECONDS)
