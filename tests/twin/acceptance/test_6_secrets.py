"""The platform's secrets after everything that was done to it: nowhere in clear but in the files of their owners."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from platform_iac.provider.runner import private
from tests.twin import leaks
from tests.twin.acceptance.conftest import TEST_SECONDS, Platform
from tests.twin.stack import Stack

pytestmark = [pytest.mark.twin, pytest.mark.timeout(TEST_SECONDS)]


@pytest.fixture
def secrets(running: Stack) -> dict[str, str]:
    """The values by name, read from the encrypted state."""
    found = running.resources("--show-secrets")
    keys = {name: entry for name, entry in found.items() if entry["type"] == "platform:secret:Key"}
    values = {name: entry["outputs"]["value"]["plaintext"].strip('"') for name, entry in keys.items()}
    assert set(values) == {secret.name for secret in running.plan.secrets}
    # A key of the fabric has 64 bits, by its standard.
    assert all(len(value) >= (16 if name.startswith("fabric.") else 32) for name, value in values.items())
    return values


def test_no_command_said_one(running: Stack, secrets: dict[str, str]) -> None:
    assert leaks.in_texts(secrets, running.said) == set()


def test_no_process_had_one_in_its_command_line(platform: Platform, secrets: dict[str, str]) -> None:
    assert len(platform.argv.seen) > 100
    assert leaks.in_texts(secrets, (argv.decode(errors="replace") for argv in platform.argv.seen)) == set()


def test_no_file_of_the_stack_has_one(running: Stack, secrets: dict[str, str]) -> None:
    found = list(leaks.files(running.home, skip=frozenset({"machines", "mirror"})))
    assert any("checkpoint" in path.read_text(errors="replace")[:200] for path in found), "the state was not looked at"
    assert leaks.in_files(secrets, found) == []


def test_no_run_left_one_on_this_computer(secrets: dict[str, str]) -> None:
    tops = [path for path in (private.base(), Path("/run/user"), Path(f"/run/user/{os.getuid()}")) if path.is_dir()]
    assert leaks.in_files(secrets, [path for top in tops for path in leaks.files(top)]) == []


def test_no_machine_lets_others_read_one_or_has_it_in_its_log(running: Stack, secrets: dict[str, str]) -> None:
    machines = running.home / "state" / "platform-iac" / "labs" / running.lab / "machines"
    for host in running.hosts:
        assert leaks.open_on(running.lab, host, machines / host / "upper", secrets) == []
        assert leaks.in_journal(running.lab, host, secrets) == set(), host


def test_the_search_finds_one_where_it_belongs(running: Stack, secrets: dict[str, str]) -> None:
    machines = running.home / "state" / "platform-iac" / "labs" / running.lab / "machines"
    key = machines / "ctl01" / "upper" / "etc" / "munge" / "munge.key"
    assert leaks.in_files(secrets, leaks.files(key.parent)) == [f"munge.key: {key}"]
