"""Notices that the engine is gone, however it went, so that nothing goes on behind the user's back."""

from __future__ import annotations

import os
import socket
import threading
import time
from collections.abc import Callable

INTERVAL_SECONDS = 1.0
STRIKES = 2


def answers(address: str) -> bool:
    """Whether something listens at `host:port`."""
    host, _, port = address.rpartition(":")
    try:
        with socket.create_connection((host, int(port)), timeout=5):
            return True
    except OSError:
        return False


def watch(address: str, gone: Callable[[], None], *, interval_seconds: float = INTERVAL_SECONDS) -> threading.Thread:
    """Call `gone` once, from a thread of its own, when the engine has not answered several times in a row.

    Our parent's end counts, too: the engine's port may be given to somebody else soon after it died.
    """
    parent = os.getppid()

    def look() -> None:
        strikes = 0
        while strikes < STRIKES and os.getppid() == parent:
            time.sleep(interval_seconds)
            strikes = 0 if answers(address) else strikes + 1
        gone()

    thread = threading.Thread(target=look, name="watchdog", daemon=True)
    thread.start()
    return thread
