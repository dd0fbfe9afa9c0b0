from pathlib import Path

import pytest

from platform_iac.lab import limits


@pytest.fixture
def limit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The kernel's limit, at 128, on a workstation without labs."""
    file = tmp_path / "max_user_instances"
    file.write_text("128\n")
    monkeypatch.setattr(limits, "INSTANCES", file)
    monkeypatch.setattr(limits, "_RUN", tmp_path / "run")
    monkeypatch.setattr(limits, "_NAMESPACES", tmp_path / "netns")
    (tmp_path / "netns").mkdir()
    return file


def test_a_low_limit_is_lifted_and_put_back(limit: Path) -> None:
    limits.lift()
    limits.lift()
    assert int(limit.read_text()) == limits.ENOUGH
    limits.restore()
    assert limit.read_text() == "128\n"


def test_it_stays_lifted_while_another_lab_is_there(limit: Path, tmp_path: Path) -> None:
    limits.lift()
    (tmp_path / "netns/platform-iac-other").touch()
    limits.restore()
    assert int(limit.read_text()) == limits.ENOUGH


def test_a_limit_that_is_high_enough_is_left_alone(limit: Path) -> None:
    limit.write_text("10000\n")
    limits.lift()
    limits.restore()
    assert limit.read_text() == "10000\n"
