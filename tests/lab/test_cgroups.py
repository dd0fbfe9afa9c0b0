from pathlib import Path

import pytest

from platform_iac.lab import cgroups
from platform_iac.lab.paths import LabError

V1 = """\
tmpfs /sys/fs/cgroup tmpfs rw 0 0
cgroup /sys/fs/cgroup/memory cgroup rw,memory 0 0
cgroup /sys/fs/cgroup/devices cgroup rw,devices 0 0
cgroup2 /sys/fs/cgroup/unified cgroup2 rw 0 0
"""
V2 = "proc /proc proc rw 0 0\ncgroup2 /sys/fs/cgroup cgroup2 rw,nsdelegate 0 0\n"


def test_version_1_is_every_hierarchy_and_the_unified_one() -> None:
    found = cgroups.layout(V1)
    assert found.version == 1
    assert [root.name for root in found.roots] == ["devices", "memory", "unified"]


def test_version_2_is_one_hierarchy() -> None:
    assert cgroups.layout(V2) == cgroups.Layout(version=2, roots=(Path("/sys/fs/cgroup"),))


def test_no_hierarchy_is_said_so() -> None:
    with pytest.raises(LabError, match="no cgroup hierarchy"):
        cgroups.layout("proc /proc proc rw 0 0\n")


def test_paths_name_the_lab_and_the_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cgroups, "mounted", lambda: cgroups.layout(V2))
    assert cgroups.paths("falcon", "gpu01") == [Path("/sys/fs/cgroup/platform-iac/falcon/gpu01")]


def test_a_version_2_hierarchy_hands_its_controllers_down(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cgroups, "mounted", lambda: cgroups.Layout(version=2, roots=(tmp_path,)))
    for folder in (tmp_path, tmp_path / "platform-iac", tmp_path / "platform-iac/falcon"):
        folder.mkdir(exist_ok=True)
        (folder / "cgroup.controllers").write_text("cpu memory\n")
    (procs,) = cgroups.create("falcon", "gpu01")
    assert procs == tmp_path / "platform-iac/falcon/gpu01/cgroup.procs"
    assert (tmp_path / "platform-iac/falcon/cgroup.subtree_control").read_text() == "+cpu +memory"


def test_a_new_cpuset_takes_over_what_its_parent_has(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cgroups, "mounted", lambda: cgroups.Layout(version=1, roots=(tmp_path,)))
    levels = [tmp_path, *(tmp_path / name for name in ("platform-iac", "platform-iac/a", "platform-iac/a/b"))]
    for folder in levels:
        folder.mkdir(exist_ok=True)
        for file in ("cpuset.cpus", "cpuset.mems"):
            (folder / file).write_text("0-1\n" if folder == tmp_path else "\n")
    cgroups.create("a", "b")
    assert (levels[-1] / "cpuset.cpus").read_text() == "0-1\n"


@pytest.mark.parametrize(("file", "share"), [("cpu.shares", "8192"), ("cpu.weight", "800")])
def test_a_lab_gets_more_of_a_busy_processor_than_one_process(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, file: str, share: str
) -> None:
    monkeypatch.setattr(cgroups, "mounted", lambda: cgroups.Layout(version=1, roots=(tmp_path,)))
    levels = [tmp_path / name for name in ("platform-iac", "platform-iac/a", "platform-iac/a/b")]
    for folder in levels:
        folder.mkdir()
        (folder / file).write_text("as it was")
    cgroups.create("a", "b")
    assert [(folder / file).read_text() for folder in levels] == [share, share, "as it was"]
