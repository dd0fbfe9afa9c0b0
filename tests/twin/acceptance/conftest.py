"""One platform for the whole acceptance: a stack that the modules of this folder take from nothing to nothing.

A module may be run alone; the platform is then brought up first.
"""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from dataclasses import dataclass

import pytest

from tests.twin import cleanup
from tests.twin.leaks import Argv
from tests.twin.specs import Overlay
from tests.twin.stack import Stack

UP_SECONDS = 1500
TEST_SECONDS = 3000
"""Above the sum of the waits of any test here: they end with a reason, this would end with none."""


@dataclass
class Platform:
    """The stack, its spec, and whether it has been up."""

    stack: Stack
    spec: Overlay
    argv: Argv
    is_up: bool = False
    broken: str = ""

    def up(self) -> None:
        """Bring it up once; a platform that did not come up is not tried again by every test."""
        if self.broken:
            pytest.fail(f"the platform did not come up: {self.broken}")
        if not self.is_up:
            try:
                self.stack.up(timeout=UP_SECONDS)
            except AssertionError as error:
                self.broken = str(error)[-2000:]
                raise
            self.is_up = True


@pytest.fixture(scope="session")
def platform(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Platform]:
    """A stack with a name of its own; whatever becomes of the tests, all of it is removed."""
    name = f"acc-{secrets.token_hex(2)}"
    home = tmp_path_factory.mktemp(name)
    spec = Overlay(home, name)
    lab = f"{name}-lab"
    ssh_config = home / "state" / "platform-iac" / "labs" / lab / "ssh_config"
    with cleanup.of_lab(lab, home / "state"), Argv() as argv:
        yield Platform(Stack(name, spec.path, home, lab, ssh_config), spec, argv)


@pytest.fixture
def running(platform: Platform) -> Stack:
    """The stack with the platform up."""
    platform.up()
    return platform.stack


@pytest.fixture
def spec(platform: Platform) -> Overlay:
    """The spec of the platform."""
    return platform.spec
