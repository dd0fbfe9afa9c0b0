"""The module `host_packages` notes what a host has of its own, and no teardown takes it."""

from __future__ import annotations

import re
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from tests.host_modules import load

ROLES = Path(__file__).resolve().parents[2] / "roles"
PURGING = sorted(
    path.parents[1].name for path in ROLES.glob("*/tasks/teardown.yml") if "autoremove" in path.read_text()
)


@pytest.fixture
def module(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> ModuleType:
    made = load("base/library/host_packages.py")
    monkeypatch.setattr(made, "NOTE", str(tmp_path / "lib" / "packages"))
    monkeypatch.setattr(made, "MARKS", str(tmp_path / "lib" / "packages-auto"))
    monkeypatch.setattr(made, "OURS", str(tmp_path / "10-platform.conf"))
    return made


@pytest.fixture
def host(module: ModuleType, monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    """A host's packages with their marks, as apt and dpkg tell and change them."""
    packages = {"curl": "manual", "libpam-systemd": "auto", "mdadm": "manual", "udev": "auto"}

    def ask(*command: str) -> list[str]:
        if command[0] == "dpkg-query":
            return [*(f"{name} installed" for name in packages), "gone config-files"]
        if command[1].startswith("show"):
            return [name for name, mark in packages.items() if command[1] == f"show{mark}"]
        packages.update(dict.fromkeys(command[4:], command[3]))
        return []

    monkeypatch.setattr(module, "ask", ask)
    return packages


def read(path: Any) -> list[str]:
    return Path(path).read_text().split()


def test_what_a_host_has_is_noted_once_and_kept_from_autoremove(module: ModuleType, host: dict[str, str]) -> None:
    assert len(module.present([], check=False)) == 2
    assert set(host.values()) == {"manual"}
    host |= {"slurmd": "manual", "libmunge2": "auto"}
    assert module.present([], check=False) == []
    assert read(module.NOTE) == ["curl", "libpam-systemd", "mdadm", "udev"]
    assert host["libmunge2"] == "auto"


def test_what_was_interrupted_is_finished_by_the_next_run(module: ModuleType, host: dict[str, str]) -> None:
    module.present([], check=False)
    host["udev"] = "auto"
    assert module.present([], check=False) == ["keep 1 packages that apt would remove by itself"]
    assert host["udev"] == "manual"


def test_the_marks_come_back_when_the_platform_goes(module: ModuleType, host: dict[str, str]) -> None:
    before = dict(host)
    module.present([], check=False)
    del host["udev"]
    assert module.absent(check=False)
    assert host == {name: mark for name, mark in before.items() if name != "udev"}
    assert not Path(module.NOTE).exists()
    assert module.absent(check=False) == []


def test_on_a_host_of_an_earlier_version_only_common_packages_are_its_own(
    module: ModuleType, host: dict[str, str]
) -> None:
    Path(module.OURS).touch()
    host["slurmd"] = "manual"
    module.present(["curl", "mdadm", "rclone"], check=False)
    assert read(module.NOTE) == ["curl", "mdadm"]


def test_a_dry_run_changes_nothing(module: ModuleType, host: dict[str, str]) -> None:
    before = dict(host)
    assert module.present([], check=True)
    assert host == before
    assert not Path(module.NOTE).exists()
    module.present([], check=False)
    kept = dict(host)
    assert module.absent(check=True)
    assert host == kept
    assert Path(module.NOTE).exists()


# The mirror comes before the note, and its web server serves nothing else. The controller's packages are its own.
@pytest.mark.parametrize("role", [role for role in PURGING if role not in ("mirror", "slurm_controller")])
def test_no_teardown_takes_packages_that_were_there_before(role: str) -> None:
    text = (ROLES / role / "tasks" / "teardown.yml").read_text()
    asked, purged = text.index("cat /var/lib/platform-iac/packages"), text.index("ansible.builtin.apt:")
    assert asked < purged
    assert re.search(rf"name: .*difference\({role}_had\.stdout_lines\)", text[purged:])


@pytest.mark.parametrize("role", ["nfs_server", "scratch"])
def test_mdadm_stays_where_another_array_is(role: str) -> None:
    text = (ROLES / role / "tasks" / "teardown.yml").read_text()
    assert text.index("state: absent\n\n# A host that boots") < text.index("/proc/mdstat") < text.index("autoremove")
    assert f"difference({role}_keeps)" in text
    assert re.search(rf"/etc/mdadm, /var/lib/mdadm\]\n  when: .*{role}_keeps", text)
