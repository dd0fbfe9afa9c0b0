from __future__ import annotations

import ast
import dataclasses
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from platform_iac import doctor
from platform_iac.lab import guest
from tests.tools.test_env import own

TOP = Path(__file__).resolve().parents[1]
FIT = doctor.Machine(
    system="Linux",
    architecture="x86_64",
    distribution="debian 12",
    python=(3, 11),
    root=True,
    disk=(
        doctor.Disk(path=Path("/root/.cache/platform-iac"), variable="XDG_CACHE_HOME", free_gib=50.0),
        doctor.Disk(path=Path("/root/.local/state/platform-iac"), variable="XDG_STATE_HOME", free_gib=50.0),
    ),
    cached=False,
    memory_gib=23.0,
    refusals={},
    cgroup_version=1,
    cgroup_writable=True,
    inotify_instances=128,
    missing={},
)
SMALL = doctor.Disk(path=Path("/cache"), variable="XDG_CACHE_HOME", free_gib=doctor.DISK_GIB - 1)


def test_a_fit_machine_has_no_findings() -> None:
    assert doctor.examine(FIT) == []


@pytest.mark.parametrize(
    ("change", "said", "remedy"),
    [
        ({"system": "Darwin"}, "this is Darwin, not Linux", "Debian 12"),
        ({"architecture": "aarch64"}, "the architecture is aarch64", "x86_64"),
        ({"python": (3, 9)}, "python3 is 3.9", "3.11"),
        ({"root": False}, "you are not root", "as root"),
        ({"disk": (SMALL,)}, "GiB free for /cache", "XDG_CACHE_HOME"),
        ({"memory_gib": 2.0}, "2.0 GiB of memory", "GiB or more"),
        ({"refusals": {"a net namespace": "Operation not permitted"}}, "a net namespace: Operation", "container"),
        ({"refusals": {"an overlay on /root": "Invalid argument"}}, "an overlay on /root", "XDG_STATE_HOME"),
        ({"cgroup_version": 0}, "no cgroup hierarchy", "mount"),
        ({"cgroup_writable": False}, "read-only", "container"),
        ({"inotify_instances": 16}, "max_user_instances is 16", "sysctl"),
        ({"memory_gib": 11.4}, "11.4 GiB of memory", "12 GiB or more"),
        ({"to_build": "3.255.0"}, "no Go 1.21 or newer", "Pulumi 3.255.0"),
        ({"to_build": "3.255.0", "go": (1, 19)}, "no Go 1.21 or newer", "install Go"),
        ({"missing": {"systemd-nspawn": "systemd-container"}}, "systemd-nspawn", "apt-get install systemd-container"),
    ],
)
def test_what_is_wrong_is_said_with_its_remedy(change: dict[str, object], said: str, remedy: str) -> None:
    (finding,) = doctor.examine(dataclasses.replace(FIT, **change))  # type: ignore[arg-type]
    assert not finding.warning
    assert said in finding.what
    assert remedy in finding.remedy


@pytest.mark.parametrize("change", [{"distribution": "ubuntu 24.04"}, {"distribution": ""}, {"cgroup_version": 2}])
def test_what_was_not_tried_is_a_warning(change: dict[str, object]) -> None:
    (finding,) = doctor.examine(dataclasses.replace(FIT, **change))  # type: ignore[arg-type]
    assert finding.warning


def test_everything_wrong_is_said_at_once() -> None:
    bad = dataclasses.replace(FIT, root=False, memory_gib=1.0, disk=(SMALL,), python=(3, 7))
    assert len(doctor.examine(bad)) == 4


def test_a_warm_cache_needs_less_room() -> None:
    assert doctor.examine(dataclasses.replace(FIT, disk=(SMALL,), cached=True)) == []


def test_before_the_set_up_nothing_is_missed_that_it_installs() -> None:
    bare = dataclasses.replace(FIT, missing=dict(doctor.COMMANDS))
    assert doctor.examine(bare, before_setup=True) == []


@pytest.mark.parametrize(
    ("mounts", "version", "writable"),
    [
        ("cgroup /sys/fs/cgroup/cpu cgroup rw,nosuid 0 0\ncgroup2 /sys/fs/cgroup/unified cgroup2 rw 0 0\n", 1, True),
        ("cgroup2 /sys/fs/cgroup cgroup2 rw,nosuid 0 0\n", 2, True),
        ("cgroup2 /sys/fs/cgroup cgroup2 ro,nosuid 0 0\n", 2, False),
        ("proc /proc proc rw 0 0\n", 0, False),
    ],
)
def test_the_cgroup_version_is_read_from_the_mounts(mounts: str, version: int, writable: bool) -> None:
    assert doctor._cgroups(mounts) == (version, writable)


def test_the_kernel_is_tried_and_nothing_stays(tmp_path: Path) -> None:
    refused = doctor._try_kernel(tmp_path)
    assert all(refused.values())
    assert list(tmp_path.iterdir()) == []
    assert str(tmp_path) not in Path("/proc/self/mounts").read_text(encoding="utf-8")


def test_reading_this_machine_yields_something_to_judge() -> None:
    machine = doctor.read()
    assert machine.system == "Linux"
    assert machine.memory_gib > 0
    assert all(disk.free_gib > 0 for disk in machine.disk)


def test_the_doctor_needs_nothing_but_the_standard_library() -> None:
    tree = ast.parse(Path(doctor.__file__).read_text(encoding="utf-8"))
    names = {alias.name for node in ast.walk(tree) if isinstance(node, ast.Import) for alias in node.names}
    names |= {node.module or "" for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)}
    assert {name.partition(".")[0] for name in names} <= sys.stdlib_module_names


def test_what_is_built_is_what_the_set_up_would_build(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    monkeypatch.setenv("PATH", own(tmp_path / "old", "v3.254.9"))
    assert doctor._to_build(TOP) == "3.255.0"
    monkeypatch.setenv("PATH", own(tmp_path / "new", "v3.255.0"))
    assert doctor._to_build(TOP) == ""
    assert doctor._to_build(tmp_path) == ""


def test_what_was_built_is_not_built_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setenv("PATH", "/usr/bin:/bin")
    script = f"top={TOP}; . tools/tools.sh; mkdir -p $(built_tools); install /bin/true $(built_tools)/pulumi"
    subprocess.run(["bash", "-c", script], cwd=TOP, check=True, timeout=30)
    assert doctor._to_build(TOP) == ""


@pytest.mark.parametrize(
    ("said", "version"), [("go1.19.8", (1, 19)), ("go1.25.11", (1, 25)), ("go1.22rc1", (1, 22)), ("devel", (0, 0))]
)
def test_the_version_of_go_is_read(
    said: str, version: tuple[int, int], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    go = tmp_path / "go"
    go.write_text(f"#!/bin/sh\necho {said}\n")
    go.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    assert doctor._go() == version
    go.unlink()
    assert doctor._go() == (0, 0)


def test_the_doctor_runs_by_itself_from_any_folder(tmp_path: Path) -> None:
    argv = [sys.executable, "-I", str(TOP / "platform_iac/doctor.py")]
    done = subprocess.run(argv, cwd=tmp_path, capture_output=True, text=True, timeout=60, check=False)
    assert done.stdout.splitlines()[-1].startswith(("fit: ", "Nothing was changed."))
    assert done.stderr == ""


def test_what_only_guests_need_is_a_warning() -> None:
    (finding,) = doctor.examine(replace(FIT, missing_for_guests={"qemu-img": "qemu-utils"}))
    assert finding.warning
    assert "qemu-img" in finding.what
    assert finding.remedy == "apt-get install qemu-utils"


def test_the_doctor_knows_all_that_guests_need() -> None:
    assert doctor.GUEST_COMMANDS == guest.COMMANDS
