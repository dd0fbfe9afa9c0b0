"""A role runs again when what it does changed, and only then."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from platform_iac.components import digest


@pytest.fixture
def roles(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of the roles that may be edited."""
    copy = tmp_path / "roles"
    shutil.copytree(digest.ROLES, copy)
    monkeypatch.setattr(digest, "ROLES", copy)
    digest.role_digest.cache_clear()
    return copy


def _now(role: str) -> str:
    digest.role_digest.cache_clear()
    return digest.role_digest(role)


def test_a_changed_task_changes_the_digest(roles: Path) -> None:
    before = _now("munge")
    tasks = roles / "munge/tasks/main.yml"
    tasks.write_text(tasks.read_text() + "\n# changed\n")
    assert _now("munge") != before


def test_a_changed_plugin_changes_the_roles_that_call_it(roles: Path) -> None:
    before = _now("munge"), _now("slurm_controller")
    module = roles / "plugins/modules/slurm_accounts.py"
    module.write_text(module.read_text() + "\n# changed\n")
    assert _now("munge") == before[0]
    assert _now("slurm_controller") != before[1]


def test_a_changed_template_does_not_because_its_text_is_in_the_plan(roles: Path) -> None:
    before = _now("slurm_controller")
    template = next((roles / "slurm_controller/templates").iterdir())
    template.write_text(template.read_text() + "\n# changed\n")
    assert _now("slurm_controller") == before
