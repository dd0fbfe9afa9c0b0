"""The plugins that roles share."""

from __future__ import annotations

from types import ModuleType

import pytest

from tests.host_modules import load


@pytest.fixture(scope="session")
def host_files() -> ModuleType:
    """The module `host_files`."""
    return load("plugins/modules/host_files.py")


@pytest.fixture(scope="session")
def host_files_action() -> ModuleType:
    """The action plugin `host_files`."""
    return load("plugins/action/host_files.py")


@pytest.fixture
def host_units() -> ModuleType:
    """The module `host_units`, fresh for each test because tests replace its `systemctl`."""
    return load("plugins/modules/host_units.py")
