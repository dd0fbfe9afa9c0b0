"""Specs of the tests: overlays of the stack `lab`, each with a name and a loopback port of its own."""

from __future__ import annotations

import json
import shutil
import socket
from pathlib import Path
from typing import Any

from tests.twin.stack import TOP


class Overlay:
    """A spec on top of stacks/lab.yaml that tests change between runs."""

    def __init__(self, folder: Path, name: str) -> None:
        shutil.copy(TOP / "stacks" / "lab.yaml", folder / "lab.yaml")
        self.path = folder / f"{name}.yaml"
        self._values: dict[str, Any] = {
            "extends": "lab.yaml",
            "name": name,
            "sites": {"lab": {"forwards": {"mlflow": free_port()}}},
        }
        self.set()

    def set(self, **values: Any) -> None:
        """Lay these values over what the spec says, map by map, and write it."""
        _merge(self._values, values)
        self.path.write_text(json.dumps(self._values, indent=1))


def free_port() -> int:
    """A loopback port that nobody listens on."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


def _merge(base: dict[str, Any], over: dict[str, Any]) -> None:
    for name, value in over.items():
        if isinstance(value, dict) and isinstance(base.get(name), dict):
            _merge(base[name], value)
        else:
            base[name] = value
