"""The module ceph_daemons: which disks it takes, and what becomes of disks that moved or died."""

from __future__ import annotations

import json
import shutil
import subprocess
import uuid
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from tests.host_modules import load

FSID = "2e9cb01d-dcd8-5d41-9a34-4d0501320781"
MIB = 2**20


@pytest.fixture(scope="module")
def daemons() -> ModuleType:
    return load("ceph_cluster/library/ceph_daemons.py")


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


def test_only_disks_of_this_host_and_cluster_are_wiped(
    daemons: ModuleType, disk: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(daemons.cluster, "LIB", tmp_path / "no-ceph-here")
    foreign = b"bluestore block device\n0f6cb0fa-5b4b-5f7b-9a6e-7a3b6f1c2d3e\n"
    with disk.open("r+b") as file:
        file.write(foreign)
    assert daemons.gone(FSID, "stor01", {str(disk): 0}, check=False) == []
    assert disk.read_bytes().startswith(foreign)
    own = str(uuid.uuid5(uuid.UUID(FSID), f"stor01:{disk}"))
    with disk.open("r+b") as file:
        file.write(f"bluestore block device\n{own}\n".encode())
    assert daemons.gone(FSID, "stor01", {str(disk): 0}, check=False) == [f"wipe {disk}"]
    assert daemons.holds(str(disk)) == ""


def test_a_disk_that_cannot_be_read_hinders_no_teardown(
    daemons: ModuleType, disk: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(daemons.cluster, "LIB", tmp_path / "no-ceph-here")
    dying, real = tmp_path / "dying", daemons.cluster.label
    dying.touch()

    def label(path: str) -> str:
        if path == str(dying):
            raise OSError(5, "Input/output error")
        return str(real(path))

    monkeypatch.setattr(daemons.cluster, "label", label)
    own = str(uuid.uuid5(uuid.UUID(FSID), f"stor01:{disk}"))
    with disk.open("r+b") as file:
        file.write(f"bluestore block device\n{own}\n".encode())
    done = daemons.gone(FSID, "stor01", {str(dying): 0, str(disk): 0}, check=False)
    assert done == [f"wipe {disk}", f"leave {dying}, which cannot be read"]


class StubHost:
    """A host with two disks, `a` and `b`, whose OSDs are 1 and 2, and a cluster that knows them."""

    def __init__(self, daemons: ModuleType, folder: Path) -> None:
        self.daemons, self.real, self.folder = daemons, daemons.cluster.run, folder
        self.disks = {str(folder / name): 0 for name in ("a", "b")}
        self.own = daemons.cluster.identities(FSID, "stor01", self.disks)
        self.osds = [
            {"osd": number, "uuid": identity, "up": 0, "up_from": 9}
            for number, identity in enumerate(self.own.values(), 1)
        ]
        self.states, self.mapped, self.others_fsid = ["active+undersized"], list[int](), FSID
        self.done: list[str] = []
        for number, (path, identity) in enumerate(self.own.items(), 1):
            self.fill(path, identity)
            self.remember(number, path, identity)

    def fill(self, path: str, identity: str) -> None:
        """Put a disk there, blank where there is no identity."""
        with Path(path).open("wb") as file:
            file.write(f"bluestore block device\n{identity}\n".encode() if identity else b"")
            file.truncate(4 * MIB)

    def remember(self, number: int, path: str, identity: str) -> None:
        folder = self.daemons.cluster.LIB / f"osd/ceph-{number}"
        folder.mkdir(parents=True)
        (folder / "block").symlink_to(path)
        (folder / "fsid").write_text(f"{identity}\n")
        (folder / "ready").touch()

    def see_to(self) -> list[int]:
        return list(self.daemons.osds(FSID, "stor01", self.disks, check=False)[1])

    def block(self, number: int) -> str:
        return (self.daemons.cluster.LIB / f"osd/ceph-{number}/block").resolve().name

    def __call__(self, *argv: str, **options: Any) -> str:
        if argv[0] == "blkid":
            return str(self.real(*argv, **options))
        said = " ".join(word for word in argv if word not in ("--format", "json"))
        nodes = [{"id": one["osd"], "type": "osd", "status": one.get("status", "up")} for one in self.osds]
        bucket = {"id": -1, "type": "host", "name": "stor01", "children": [node["id"] for node in nodes]}
        answers: dict[str, Any] = {
            "ceph osd dump": {"osds": self.osds},
            "ceph osd tree": {"nodes": [bucket, *nodes]},
            "ceph pg dump pgs_brief": {
                "pg_stats": [{"state": state, "up": self.mapped, "acting": [2]} for state in self.states]
            },
            "ceph-bluestore-tool show-label": {argv[-1]: {"ceph_fsid": self.others_fsid, "mkfs_done": "yes"}},
        }
        if answer := answers.get(said) or answers.get(" ".join(argv[:2])):
            return json.dumps(answer)
        self.done.append(said)
        if said.startswith("ceph osd destroy"):
            next(one for one in self.osds if str(one["osd"]) == argv[3]).update(uuid="", status="destroyed")
        if said.startswith("ceph osd new"):
            return argv[4] if len(argv) > 4 else next(str(one["osd"]) for one in self.osds if one["uuid"] == argv[3])
        if "--osd-data" in argv or "--path" in argv:
            folder = Path(argv[argv.index("--osd-data" if "--osd-data" in argv else "--path") + 1])
            (folder / "fsid").write_text(argv[argv.index("--osd-uuid") + 1] if "--osd-uuid" in argv else "primed")
        return ""


@pytest.fixture
def host(daemons: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> StubHost:
    monkeypatch.setattr(daemons.cluster, "LIB", tmp_path / "lib")
    monkeypatch.setattr(daemons, "LOSS_SECONDS", 0)
    stub = StubHost(daemons, tmp_path)
    monkeypatch.setattr(daemons.cluster, "run", stub)
    monkeypatch.setattr(daemons, "_lasting", str)
    monkeypatch.setattr(daemons, "own", lambda _: None)
    monkeypatch.setattr(daemons.shutil, "chown", lambda *_: None)
    return stub


def test_disks_that_come_up_under_other_names_keep_their_osds(host: StubHost) -> None:
    a, b = host.own
    host.fill(a, host.own[b])
    host.fill(b, host.own[a])
    assert host.see_to() == [1, 2]
    assert (host.block(1), host.block(2)) == ("b", "a")
    assert host.done == []


def test_after_a_new_system_disks_are_taken_back_by_their_labels(host: StubHost) -> None:
    a, b = host.own
    shutil.rmtree(host.daemons.cluster.LIB)
    host.fill(a, host.own[b])
    host.fill(b, host.own[a])
    assert host.see_to() == [1, 2]
    assert (host.block(1), host.block(2)) == ("b", "a")
    assert len([said for said in host.done if "prime-osd-dir" in said]) == 2
    assert not [said for said in host.done if "--mkfs" in said or "destroy" in said]


def test_a_blank_disk_for_a_dead_one_gets_its_osd_anew(host: StubHost) -> None:
    a, _ = host.own
    host.fill(a, "")
    assert host.see_to() == [1, 2]
    destroyed, made = "ceph osd destroy 1 --yes-i-really-mean-it", f"ceph osd new {host.own[a]} 1"
    assert host.done[:3] == ["systemctl stop ceph-osd@1.service", destroyed, made]
    assert [said for said in host.done if "--mkfs -i 1" in said]


def test_a_blank_disk_gets_the_osd_that_no_disk_holds(host: StubHost) -> None:
    """The disk of `a` died, and that of `b` came up as `a`."""
    a, b = host.own
    host.fill(a, host.own[b])
    host.fill(b, "")
    assert host.see_to() == [1, 2]
    assert (host.block(1), host.block(2)) == ("b", "a")
    assert f"ceph osd new {host.own[a]} 1" in host.done
    assert not [said for said in host.done if "destroy 2" in said]


def test_it_goes_on_where_it_was_killed_after_the_old_osd_was_destroyed(host: StubHost) -> None:
    a, _ = host.own
    host.fill(a, "")
    host.osds[0].update(uuid="", status="destroyed")
    shutil.rmtree(host.daemons.cluster.LIB / "osd/ceph-1")
    assert host.see_to() == [1, 2]
    assert f"ceph osd new {host.own[a]} 1" in host.done


@pytest.mark.parametrize(
    ("osd", "states", "mapped", "says"),
    [
        ({"up": 1}, ["active+clean"], [], "it is up all the same"),
        ({}, ["active+clean"], [1], "the cluster has not noticed"),
        ({}, ["active+clean", "down"], [], "some data cannot be used without it \\(down\\)"),
        ({}, ["active+recovery_unfound+degraded"], [], "recovery_unfound"),
        ({}, ["stale+active+clean"], [], "stale"),
    ],
)
def test_an_osd_that_the_cluster_may_still_need_is_not_made_anew(
    host: StubHost, osd: dict[str, int], states: list[str], mapped: list[int], says: str
) -> None:
    a, _ = host.own
    host.fill(a, "")
    host.osds[0].update(osd)
    host.states, host.mapped = states, mapped
    with pytest.raises(host.daemons.cluster.ClusterError, match=says):
        host.see_to()
    assert host.done == []
    assert (host.daemons.cluster.LIB / "osd/ceph-1/ready").exists()


def test_nobody_is_told_to_wipe_a_disk_of_this_cluster(host: StubHost) -> None:
    a, _ = host.own
    stranger = str(uuid.uuid5(uuid.UUID(FSID), "stor02:/dev/nvme2n1"))
    host.fill(a, stranger)
    with pytest.raises(host.daemons.cluster.ClusterError, match="an OSD of this cluster") as refused:
        host.see_to()
    assert "wipefs" not in str(refused.value)
    host.others_fsid = "0f6cb0fa-5b4b-5f7b-9a6e-7a3b6f1c2d3e"
    with pytest.raises(host.daemons.cluster.ClusterError, match="if nobody needs that, wipe it"):
        host.see_to()


def test_one_osd_on_two_disks_is_somebody_s_to_look_at(host: StubHost) -> None:
    a, b = host.own
    host.fill(b, host.own[a])
    with pytest.raises(host.daemons.cluster.ClusterError, match="is on another disk too"):
        host.see_to()


def test_an_osd_on_a_disk_that_is_not_named_is_not_given_up(host: StubHost) -> None:
    a, _ = host.own
    elsewhere = host.folder / "c"
    Path(a).rename(elsewhere)
    host.fill(a, "")
    block = host.daemons.cluster.LIB / "osd/ceph-1/block"
    block.unlink()
    block.symlink_to(elsewhere)
    with pytest.raises(host.daemons.cluster.ClusterError, match=r"osd\.1 is on .*/c, which `devices` does not name"):
        host.see_to()


def test_a_host_that_stays_after_all_takes_its_disks_in_again(host: StubHost) -> None:
    mark = host.daemons.cluster.LIB / "osd/ceph-2/leaving"
    mark.touch()
    assert host.see_to() == [1, 2]
    assert host.done == ["ceph osd in 2"]
    assert not mark.exists()
    mark.touch()
    host.osds.pop()
    with pytest.raises(host.daemons.cluster.ClusterError, match="no longer knows"):
        host.see_to()


def test_a_later_monitor_begins_with_the_map_of_the_cluster_that_lives(
    host: StubHost, daemons: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its host has disks of the cluster. Of the monitors that the spec names now, stor03 is not there yet either."""
    there = {"mons": [{"name": name, "public_addr": f"10.0.0.{name[-1]}:6789/0"} for name in ("stor02", "stor09")]}
    monkeypatch.setattr(daemons.cluster, "ask", lambda *_: there)
    planned = {"stor01": "10.0.0.1", "stor02": "10.0.0.2", "stor03": "10.0.0.3"}

    def call(*argv: str, **_: Any) -> str:
        host.done.append(" ".join(argv))
        if argv[0] == "monmaptool":
            Path(argv[-1]).touch()
        return ""

    monkeypatch.setattr(daemons.cluster, "run", call)
    daemons.monitor(FSID, "stor01", planned, "/keyring", check=False)
    named = [word for word in host.done[0].split() if word.startswith("stor")]
    assert named == ["stor01", "stor02", "stor09"]
