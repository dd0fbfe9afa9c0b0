"""The module ceph_daemons: which disks it takes."""

from __future__ import annotations

import importlib.util
import shutil
import subprocess
from pathlib import Path
from types import ModuleType

import pytest

MODULE = Path(__file__).resolve().parents[2] / "roles/ceph_cluster/library/ceph_daemons.py"
MIB = 2**20


@pytest.fixture(scope="module")
def daemons() -> ModuleType:
    spec = importlib.util.spec_from_file_location("ceph_daemons", MODULE)
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def disk(tmp_path: Path) -> Path:
    path = tmp_path / "disk"
    with path.open("wb") as file:
        file.truncate(64 * MIB)
    return path


def test_a_blank_disk_holds_nothing(daemons: ModuleType, disk: Path) -> None:
    assert daemons.holds(str(disk)) == ""


@pytest.mark.parametrize(("make", "what"), [(("mke2fs", "-q", "-t", "ext4"), "ext4"), (("mkswap",), "swap")])
def test_a_disk_with_a_file_system_says_which(
    daemons: ModuleType, disk: Path, make: tuple[str, ...], what: str
) -> None:
    assert shutil.which(make[0], path="/usr/sbin:/sbin:/usr/bin")
    subprocess.run([*make, str(disk)], check=True, capture_output=True, timeout=60)
    assert daemons.holds(str(disk)) == what


def test_a_partition_table_is_something_too(daemons: ModuleType, disk: Path) -> None:
    with disk.open("r+b") as file:
        file.seek(446)
        file.write(bytes.fromhex("00 00 02 00 83 ff ff ff 00 08 00 00 00 f0 01 00"))
        file.seek(510)
        file.write(b"\x55\xaa")
    assert daemons.holds(str(disk)) == "dos"


def test_data_that_no_tool_knows_is_not_taken_either(daemons: ModuleType, disk: Path) -> None:
    with disk.open("r+b") as file:
        file.seek(4096)
        file.write(b"somebody's own format")
    assert daemons.holds(str(disk)) == "data that no tool knows"


def test_an_osd_is_known_by_its_identity(daemons: ModuleType, disk: Path) -> None:
    with disk.open("r+b") as file:
        file.write(b"bluestore block device\n0f6cb0fa-5b4b-5f7b-9a6e-7a3b6f1c2d3e\n")
    assert daemons.holds(str(disk)) == "0f6cb0fa-5b4b-5f7b-9a6e-7a3b6f1c2d3e"


def test_units_follow_the_clusters_configuration(daemons: ModuleType) -> None:
    assert daemons.units(["ceph-mon@a"]) == {"ceph-mon@a.service": {"restart_on": ["/etc/ceph/ceph.conf"]}}


def test_only_disks_of_this_host_and_cluster_are_wiped(daemons: ModuleType, disk: Path, tmp_path: Path) -> None:
    daemons.LIB = tmp_path / "no-ceph-here"
    fsid = "2e9cb01d-dcd8-5d41-9a34-4d0501320781"
    foreign = b"bluestore block device\n0f6cb0fa-5b4b-5f7b-9a6e-7a3b6f1c2d3e\n"
    with disk.open("r+b") as file:
        file.write(foreign)
    assert daemons.gone(fsid, "stor01", {str(disk): 0}, check=False) == []
    assert disk.read_bytes().startswith(foreign)
    own = str(daemons.uuid.uuid5(daemons.uuid.UUID(fsid), f"stor01:{disk}"))
    with disk.open("r+b") as file:
        file.write(f"bluestore block device\n{own}\n".encode())
    assert daemons.gone(fsid, "stor01", {str(disk): 0}, check=False) == [f"wipe {disk}"]
    assert daemons.holds(str(disk)) == ""
