"""The wrapper of programs on simulated adapters: what a kernel would do and the simulator's library does not."""

from __future__ import annotations

import importlib.machinery
import importlib.util
import socket
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest

PROGRAM = Path(__file__).parents[2] / "roles" / "fabric_simulator" / "templates" / "simulated-adapter"
STATE = "Nov 26 04:39:12 715330 [D1B0] 0x02 -> Entering {} state\n"


@pytest.fixture
def server() -> Iterator[dict[str, object]]:
    """Something that lets the wrapper's line in."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        address, port = listening.getsockname()
        accepted: list[socket.socket] = []
        door = threading.Thread(target=lambda: accepted.append(listening.accept()[0]))
        door.start()
        yield {"host": address, "address": address, "port": port, "packets": 9}
        door.join(timeout=10)
        accepted.pop().close()


@pytest.fixture
def adapter(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """The wrapper, with a log of the test's own, and none of the simulator's library."""
    loader = importlib.machinery.SourceFileLoader("simulated_adapter", str(PROGRAM))
    spec = importlib.util.spec_from_loader(loader.name, loader)
    assert spec is not None
    module = importlib.util.module_from_spec(spec)
    loader.exec_module(module)
    monkeypatch.setattr(module, "MANAGER_LOG", str(tmp_path / "opensm.log"))
    monkeypatch.setattr(module, "DISCOVERY_SECONDS", 1)
    monkeypatch.setattr(module.glob, "glob", lambda pattern: [""])
    return module


def opensm(tmp_path: Path) -> str:
    """A program of this name that ends well after 5 s by itself."""
    program = tmp_path / "opensm"
    program.write_text("#!/bin/sh\nexec sleep 5\n")
    program.chmod(0o755)
    return str(program)


def test_a_manager_that_discovers_for_ever_is_ended(
    adapter: ModuleType, server: dict[str, object], tmp_path: Path
) -> None:
    (tmp_path / "opensm.log").write_text(STATE.format("STANDBY") + STATE.format("DISCOVERING"))
    began = time.monotonic()
    assert adapter.run([opensm(tmp_path)], server, "mlx5_0", "H-1") == 128 + 9
    assert time.monotonic() - began < 5


@pytest.mark.parametrize("states", [(), ("DISCOVERING", "MASTER"), ("DISCOVERING", "STANDBY")])
def test_one_that_has_found_the_fabric_goes_on(
    adapter: ModuleType, server: dict[str, object], tmp_path: Path, states: tuple[str, ...]
) -> None:
    (tmp_path / "opensm.log").write_text("".join(map(STATE.format, states)))
    assert adapter.run([opensm(tmp_path)], server, "mlx5_0", "H-1") == 0
