"""What all tests share."""

from __future__ import annotations

import pytest

from tests.twin_support.machines import available


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Refuse to run tests of machines where there can be none: they would not pass, and must not seem to."""
    wanted = [item for item in items if item.get_closest_marker("twin")]
    expression = config.getoption("markexpr", "")
    if wanted and "not twin" not in expression and not config.getoption("collectonly") and not available():
        message = "tests marked `twin` need root and systemd-nspawn — run `make test-fast`, or `platform-iac doctor`"
        raise pytest.UsageError(message)
