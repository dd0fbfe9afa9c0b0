"""The module `xfs_projects`: what all below a folder bears, what is done again, and what xfs_quota is asked for."""

from __future__ import annotations

import os
import struct
import subprocess
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from tests.host_modules import load

VISION, LANGUAGE = 10_001, 10_002


@pytest.fixture
def module() -> ModuleType:
    return load("nfs_server/library/xfs_projects.py")


class Inodes:
    """Stands in for XFS: what each inode bears, and what happens when one gets its project."""

    def __init__(self, module: ModuleType) -> None:
        self.module = module
        self.bears: dict[int, bytes] = {}
        self.then: Callable[[Path], object] = lambda path: None

    def ioctl(self, descriptor: int, request: int, data: bytes) -> bytes:
        inode = os.fstat(descriptor).st_ino
        if request == self.module.GETXATTR:
            return self.bears.get(inode, bytes(struct.calcsize(self.module.LAYOUT)))
        self.bears[inode] = data
        self.then(Path(f"/proc/self/fd/{descriptor}").readlink())
        return data


@pytest.fixture
def inodes(module: ModuleType, monkeypatch: pytest.MonkeyPatch) -> Inodes:
    made = Inodes(module)
    monkeypatch.setattr(module.fcntl, "ioctl", made.ioctl)
    return made


@pytest.fixture
def top(tmp_path: Path) -> Path:
    """A member's folder with what people keep, also what bears no project."""
    folder = tmp_path / "alice"
    (folder / "a b" / "deep").mkdir(parents=True)
    (folder / "a b" / "deep" / "data").write_text("x")
    (folder / "two\nlines").write_text("x")
    (folder / "link").symlink_to(tmp_path / "bob")
    os.mkfifo(folder / "a b" / "pipe")
    (tmp_path / "bob").mkdir()
    (tmp_path / "bob" / "thesis").write_text("x")
    return folder


def plain(folder: Path) -> list[Path]:
    """Return all below a folder that can bear a project."""
    return [path for path in folder.rglob("*") if not path.is_symlink() and (path.is_dir() or path.is_file())]


def test_all_below_a_folder_counts_and_links_and_pipes_stop_nothing(
    module: ModuleType, inodes: Inodes, top: Path
) -> None:
    module.settle(str(top), VISION)
    assert len(plain(top)) == 4
    for path in (top, *plain(top)):
        assert module.project(str(path)) == (VISION, path.is_dir()), path
    for path in (top.parent / "bob", top.parent / "bob" / "thesis"):
        assert module.project(str(path)) == (0, False)


def test_what_else_a_file_bears_stays(module: ModuleType, inodes: Inodes, top: Path) -> None:
    before = (0x800, 4096, 3, 0, 8192, b"\0" * 8)  # a hint of its extents' size, and another of copies'
    file = top / "two\nlines"
    inodes.bears[file.stat().st_ino] = struct.pack(module.LAYOUT, *before)
    module.settle(str(top), VISION)
    after = struct.unpack(module.LAYOUT, inodes.bears[file.stat().st_ino])
    assert after == (*before[:3], VISION, *before[4:])


@pytest.mark.parametrize("broken_at", range(1, 6))
def test_an_interrupted_run_is_done_again(
    module: ModuleType, inodes: Inodes, top: Path, monkeypatch: pytest.MonkeyPatch, broken_at: int
) -> None:
    monkeypatch.setattr(module, "quota", lambda *_: "")
    module.settle(str(top), LANGUAGE)
    count = 0

    def cut(path: Path) -> None:
        nonlocal count
        count += 1
        if count == broken_at:
            raise KeyboardInterrupt

    inodes.then = cut
    with pytest.raises(KeyboardInterrupt):
        module.settle(str(top), VISION)
    inodes.then = lambda path: None
    for number in (VISION, LANGUAGE):  # also back to the team it came from
        (todo, *_) = module.steps("/srv/nfs", {"t": {"id": number, "limit_gib": 1, "paths": [str(top)]}})
        assert todo[0] == f"{top} counts for t"
    todo[1]()
    assert {module.project(str(path))[0] for path in (top, *plain(top))} == {LANGUAGE}
    assert len(module.steps("/srv/nfs", {"t": {"id": LANGUAGE, "limit_gib": 1, "paths": [str(top)]}})) == 1


def test_what_is_made_and_removed_meanwhile_is_no_error(module: ModuleType, inodes: Inodes, top: Path) -> None:
    def people(path: Path) -> None:
        if path == top / "a b" and not (top / "late").exists():
            (top / "late").mkdir()
            (top / "late" / "data").write_text("x")
            (top / "two\nlines").unlink()

    inodes.then = people
    module.settle(str(top), VISION)
    assert {module.project(str(path)) for path in (top, top / "late")} == {(VISION, True)}
    assert module.project(str(top / "late" / "data")) == (VISION, False)


def test_a_link_in_a_folders_place_reaches_nobody_elses(module: ModuleType, inodes: Inodes, top: Path) -> None:
    (top / "a b").rename(top.parent / "kept")
    (top / "a b").mkdir()

    def swap(path: Path) -> None:
        if path == top / "a b":
            (top / "a b").rmdir()
            (top / "a b").symlink_to(top.parent / "bob")

    inodes.then = swap
    module.settle(str(top), VISION)
    with pytest.raises(FileNotFoundError):
        module.project(str(top / "a b" / "thesis"))
    assert module.project(str(top.parent / "bob" / "thesis")) == (0, False)


REPORT = f"#0 0 0 0 00 [--------]\n#{VISION} 4 0 1048576 00 [--------]\n#10003 4 0 2097152 00 [--------]\n"


def test_limits_are_set_where_they_differ_and_taken_where_nobody_asks(
    module: ModuleType, inodes: Inodes, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[str] = []

    def run(argv: list[str], **_: Any) -> subprocess.CompletedProcess[str]:
        asked.append(argv[3])
        return subprocess.CompletedProcess(argv, 0, REPORT if "report" in argv[3] else "", "")

    monkeypatch.setattr(module.subprocess, "run", run)
    wanted = {
        "d/language": {"id": LANGUAGE, "limit_gib": 3, "paths": []},
        "d/vision": {"id": VISION, "limit_gib": 1, "paths": []},
    }
    todo = module.steps("/srv/nfs", wanted)
    assert [sentence for sentence, _ in todo] == [
        "d/language may keep 3 GiB", "project 10003 has no limit any more",
    ]  # fmt: skip
    for _, act in todo:
        act()
    assert asked[1:] == [f"limit -p bhard=3145728k {LANGUAGE}", "limit -p bhard=0 10003"]


def test_what_xfs_quota_says_counts_though_it_ends_with_0(module: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    said = subprocess.CompletedProcess([], 0, "", "xfs_quota: cannot set limits: Function not implemented\n")
    monkeypatch.setattr(module.subprocess, "run", lambda *_, **__: said)
    with pytest.raises(module.QuotaError, match="cannot set limits"):
        module.quota("/srv/nfs", "limit -p bhard=1k 5")
