"""The shared modules are loaded by path, as Ansible does."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from types import ModuleType

import pytest

PLUGINS = Path(__file__).resolve().parents[3] / "roles" / "plugins"


def load(kind: str, name: str) -> ModuleType:
    """Import `roles/plugins/<kind>/<name>.py`."""
    spec = importlib.util.spec_from_file_location(f"plugin_{kind}_{name}", PLUGINS / kind / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="session")
def host_files() -> ModuleType:
    """The module `host_files`."""
    return load("modules", "host_files")


@pytest.fixture(scope="session")
def host_files_action() -> ModuleType:
    """The action plugin `host_files`."""
    return load("action", "host_files")


@pytest.fixture
def host_units() -> ModuleType:
    """The module `host_units`, fresh for each test because tests replace its `systemctl`."""
    return load("modules", "host_units")
