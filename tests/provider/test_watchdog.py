"""The provider notices that the engine is gone."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import threading
from pathlib import Path

from platform_iac.provider import watchdog

PROVIDER = Path(watchdog.__file__).parent


def test_it_calls_once_the_engine_stops_answering_and_not_before() -> None:
    gone = threading.Event()
    with socket.create_server(("127.0.0.1", 0)) as server:
        address = f"127.0.0.1:{server.getsockname()[1]}"
        thread = watchdog.watch(address, gone.set, interval_seconds=0.05)
        assert not gone.wait(0.5)
    assert gone.wait(10)
    thread.join(10)


def test_the_provider_prints_its_port_and_nothing_else_and_ends_with_its_engine() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        engine = f"127.0.0.1:{server.getsockname()[1]}"
        process = subprocess.Popen(
            [sys.executable, str(PROVIDER), engine], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )
        assert process.stdout is not None
        assert int(process.stdout.readline()) > 1024
    out, err = process.communicate(timeout=30)
    assert (process.returncode, out, err) == (0, "", "")


def test_asked_to_end_it_ends() -> None:
    process = subprocess.Popen([sys.executable, str(PROVIDER)], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    process.stdout.readline()
    os.kill(process.pid, signal.SIGTERM)
    assert process.wait(timeout=30) == 0
    process.stdout.close()
