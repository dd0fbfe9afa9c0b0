"""Which tests on machines a change asks for."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from tests.touched import TOGETHER, changed_since, on_machines, touched

MODULES = {
    "tests/roles/ceph/test_cluster.py": "roles ceph_cluster and ceph_client",
    "tests/roles/test_nfs.py": "kind: nfs",
    "tests/roles/test_slurm.py": "slurm_node",
    "tests/twin/acceptance/test_1.py": "kind: slurm, slurm_node",
    "tests/twin/acceptance/test_2.py": "",
    "tests/twin/test_onprem.py": "",
    "tests/lab/test_machines.py": "",
}
EVERY = touched(["pyproject.toml"], MODULES)


@pytest.mark.parametrize(
    ("changed", "wanted"),
    [
        ("roles/ceph_cluster/tasks/main.yml", ["tests/roles/ceph/test_cluster.py"]),
        ("platform_iac/kinds/storage/nfs/plan.py", ["tests/roles/test_nfs.py"]),
        ("platform_iac/kinds/scheduler/slurm.py", [TOGETHER]),
        ("roles/slurm_node/templates/x.j2", ["tests/roles/test_slurm.py", TOGETHER]),
        ("tests/roles/test_nfs.py", ["tests/roles/test_nfs.py"]),
        ("tests/roles/ceph/conftest.py", ["tests/roles/ceph/test_cluster.py"]),
        ("tests/twin/stack.py", [TOGETHER, "tests/twin/test_onprem.py"]),
    ],
)
def test_a_role_a_kind_or_a_helper_asks_for_what_it_concerns(changed: str, wanted: list[str]) -> None:
    assert touched([changed], MODULES) == tuple(wanted)


def test_the_modules_with_tests_on_machines_are_found() -> None:
    assert len([path for path in on_machines() if path.startswith(f"{TOGETHER}/")]) > 5


@pytest.mark.parametrize("changed", ["docs/ci.md", "README.md", "policies/rules/aws.py", "tests/spec/test_load.py"])
def test_what_no_machine_sees_asks_for_none(changed: str) -> None:
    assert touched([changed], MODULES) == ()


@pytest.mark.parametrize(
    "changed",
    [
        "platform_iac/provider/role.py",
        "roles/plugins/modules/host_files.py",
        "roles/a_new_one/tasks/main.yml",
        "platform_iac/kinds/storage/_shared.py",
        "requirements.lock",
        "tests/twin_support/machines.py",
        "tests/conftest.py",
        "something/new",
    ],
)
def test_all_else_asks_for_every_one(changed: str) -> None:
    assert touched([changed], MODULES) == EVERY
    assert TOGETHER in EVERY
    assert not [path for path in EVERY if path.startswith(f"{TOGETHER}/")]


def test_a_change_is_what_git_and_the_working_tree_have(tmp_path: Path) -> None:
    def git(*arguments: str) -> None:
        who = ["-c", "user.name=t", "-c", "user.email=t@example.net"]
        subprocess.run(["git", *who, *arguments], cwd=tmp_path, check=True, timeout=30)

    (tmp_path / "one").write_text("1")
    (tmp_path / "two").write_text("2")
    git("init", "-q")
    git("add", "-A")
    git("commit", "-q", "-m", "first")
    (tmp_path / "one").write_text("other")
    git("commit", "-q", "-am", "second")
    (tmp_path / "two").unlink()
    assert changed_since("HEAD^", tmp_path) == ["one", "two"]
    with pytest.raises(subprocess.CalledProcessError):
        changed_since("--output=/tmp/x", tmp_path)
