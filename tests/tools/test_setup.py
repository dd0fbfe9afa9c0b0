"""The set-up script, on a machine where everything is there already: it waits, it refuses, it does nothing twice."""

from __future__ import annotations

import fcntl
import os
import subprocess
import sysconfig
from importlib.util import cache_from_source
from pathlib import Path

import pytest

from tests.tools.test_env import own

pytestmark = [pytest.mark.engine, pytest.mark.timeout(120)]

TOP = Path(__file__).resolve().parents[2]


def setup(tmp_path: Path, *before: str) -> subprocess.Popen[str]:
    """Start tools/setup with caches of its own and a Pulumi on PATH, so that there is nothing to build."""
    if not (tmp_path / "own").exists():
        own(tmp_path / "own", "v3.255.0")
    environment = {
        **os.environ,
        "PATH": f"{tmp_path / 'own'}:{os.environ['PATH']}",
        "HOME": str(tmp_path / "home"),
        "XDG_CACHE_HOME": str(tmp_path / "cache"),
        "XDG_STATE_HOME": str(tmp_path / "state"),
    }
    return subprocess.Popen(
        [*before, str(TOP / "tools/setup")],
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def test_a_machine_that_is_set_up_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "home").mkdir()
    script = setup(tmp_path)
    output, _ = script.communicate(timeout=60)
    assert script.returncode == 0, output
    assert output.endswith("set-up: nothing to do\n")
    assert [path.name for path in (tmp_path / "cache/platform-iac").iterdir()] == ["setup.lock"]


def test_every_package_is_compiled() -> None:
    """Where Python is told not to write bytecode, each start of Ansible would compile it all anew: a second each."""
    sources = list(Path(sysconfig.get_path("purelib")).rglob("*.py"))
    assert len(sources) > 1000
    assert [path for path in sources if not Path(cache_from_source(str(path))).exists()] == []


def test_a_second_set_up_waits_for_the_first(tmp_path: Path) -> None:
    (tmp_path / "home").mkdir()
    (tmp_path / "cache/platform-iac").mkdir(parents=True)
    with (tmp_path / "cache/platform-iac/setup.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        script = setup(tmp_path)
        assert script.stdout
        said = iter(script.stdout.readline, "")
        assert any("waiting for another set-up" in line for line in said)
        assert script.poll() is None
    output, _ = script.communicate(timeout=60)
    assert script.returncode == 0, output


def test_a_machine_that_is_not_fit_is_told_before_anything_changes(tmp_path: Path) -> None:
    (tmp_path / "home").mkdir()
    script = setup(tmp_path, "unshare", "--user")  # in a user namespace without a mapping nobody is root
    output, _ = script.communicate(timeout=60)
    assert script.returncode == 1
    assert "not fit: you are not root — run this as root" in output
    assert "Nothing was changed." in output
    assert not (tmp_path / "cache").exists()
    assert not (tmp_path / "state").exists()
