"""The module ceph_leaving: when a host may leave, and what is asked of the cluster in which order."""

from __future__ import annotations

import json
import uuid
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from tests.host_modules import load

FSID = "2e9cb01d-dcd8-5d41-9a34-4d0501320781"


class StubCluster:
    """Answers as `ceph` does, for hosts with one OSD each; `needed` counts how often an OSD is not safe yet."""

    def __init__(self, module: ModuleType, disk: Path) -> None:
        self.error = module.cluster.ClusterError
        self.hosts = ["stor01", "stor02", "stor03", "stor04"]
        self.monitors = ["stor01", "stor02", "stor03"]
        self.identity = str(uuid.uuid5(uuid.UUID(FSID), f"stor01:{disk}"))
        self.used, self.room, self.needed, self.there = 1, 10, 2, True
        self.states = ["active+clean"]
        self.done: list[str] = []

    def __call__(self, *words: str, seconds: int = 0) -> str:
        said = " ".join(word for word in words if word not in ("--format", "json"))
        if not self.there:
            raise self.error("no monitor answers")
        if said == "pg dump pgs_brief":
            self.needed -= 1
            state = self.states[0] if len(self.states) == 1 else self.states.pop(0)
            return json.dumps({"pg_stats": [{"state": state, "up": [3], "acting": [1 if self.needed >= 0 else 2]}]})
        if answer := self.answers().get(said):
            return json.dumps(answer)
        if not said.startswith(("mon ok-to-rm", "mon stat")):
            self.done.append(said)
        if said.startswith("osd purge"):
            self.hosts.remove("stor01")
        if said.startswith("mon remove"):
            self.monitors.remove("stor01")
        return ""

    def answers(self) -> dict[str, Any]:
        numbers = {host: int(host[-1]) for host in self.hosts}
        nodes: list[dict[str, Any]] = [
            {"id": -number, "type": "host", "name": host, "children": [number]} for host, number in numbers.items()
        ]
        nodes += [{"id": number, "type": "osd", "status": "up", "reweight": 1.0} for number in numbers.values()]
        return {
            "osd tree": {"nodes": nodes},
            "osd dump": {
                "osds": [{"osd": one, "uuid": self.identity if one == 1 else f"of {one}"} for one in numbers.values()]
            },
            "osd pool ls detail": [{"pool_name": "data", "size": 3}],
            "osd df": {"nodes": [{"id": one, "kb_used": self.used, "kb": self.room} for one in numbers.values()]},
            "mon dump": {"mons": [{"name": name} for name in self.monitors]},
            "status": {"pgmap": {"pgs_by_state": [{"state_name": "active+remapped", "count": 1}]}},
        }


@pytest.fixture
def leaving(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    module = load("ceph_cluster/library/ceph_leaving.py")
    monkeypatch.setattr(module.cluster, "LIB", tmp_path / "lib")
    monkeypatch.setattr(module, "STEP_SECONDS", 0)
    (tmp_path / "lib/osd/ceph-1").mkdir(parents=True)
    return module


@pytest.fixture
def disk(tmp_path: Path) -> Path:
    path = tmp_path / "disk"
    path.write_bytes(f"bluestore block device\n{uuid.uuid5(uuid.UUID(FSID), f'stor01:{path}')}\n".encode())
    return path


@pytest.fixture
def cluster(leaving: ModuleType, disk: Path, monkeypatch: pytest.MonkeyPatch) -> StubCluster:
    stub = StubCluster(leaving, disk)
    monkeypatch.setattr(leaving.cluster, "ceph", stub)
    return stub


@pytest.fixture
def host(leaving: ModuleType, disk: Path, cluster: StubCluster) -> Any:
    return leaving.Host(FSID, "stor01", {str(disk): 0}, check=False)


def test_the_data_move_before_the_cluster_forgets_anything(
    host: Any, cluster: StubCluster, leaving: ModuleType
) -> None:
    host.drain()
    assert cluster.done == ["osd out 1", "osd safe-to-destroy 1"]
    assert (leaving.cluster.LIB / "osd/ceph-1/leaving").exists()
    host.forget()
    assert cluster.done[2:] == [
        *("osd down 1", "osd purge 1", "mon remove stor01", "osd crush rm stor01"),
        *("auth rm mgr.stor01", "auth rm mds.stor01", "auth rm client.rgw.stor01"),
    ]


def test_a_group_that_lost_its_place_and_has_no_new_copy_yet_is_waited_for(host: Any, cluster: StubCluster) -> None:
    """Ceph itself says then that the disk is safe to destroy."""
    cluster.needed = 1
    cluster.states = ["active+clean", "peering", "active+recovery_wait+degraded", "active+clean+inconsistent"]
    cluster.states += ["active+clean"]
    host.drain()
    assert cluster.states == ["active+clean"]


def few(cluster: StubCluster) -> None:
    cluster.hosts.remove("stor04")


def full(cluster: StubCluster) -> None:
    cluster.used = 7


def last_monitors(cluster: StubCluster) -> None:
    cluster.monitors.remove("stor03")


def silent(cluster: StubCluster) -> None:
    cluster.there = False


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        (few, "keeps 3 copies on different hosts, and without stor01 2 are up"),
        (full, "beyond 85%"),
        (last_monitors, "one of the last 2 monitors"),
        (silent, "may hold the only copy of something, and the cluster cannot be asked"),
    ],
)
def test_a_leave_that_cannot_be_safe_changes_nothing(
    host: Any, cluster: StubCluster, leaving: ModuleType, wrong: Callable[[StubCluster], None], says: str
) -> None:
    wrong(cluster)
    with pytest.raises(leaving.cluster.ClusterError, match=says):
        host.drain()
    assert cluster.done == []
    assert not (leaving.cluster.LIB / "osd/ceph-1/leaving").exists()


def test_data_that_do_not_move_end_the_wait(
    host: Any, cluster: StubCluster, leaving: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(leaving, "STALL_SECONDS", 0.05)
    cluster.needed = 10**9
    with pytest.raises(
        leaving.cluster.ClusterError, match="run again later; to keep the host, put it back into the spec"
    ):
        host.drain()


def test_a_leave_that_was_killed_goes_on(host: Any, cluster: StubCluster, disk: Path) -> None:
    """Here after the cluster forgot the OSD, and after the disk was made blank."""
    cluster.hosts.remove("stor01")
    host.drain()
    host.forget()
    assert "mon remove stor01" in cluster.done
    assert not [said for said in cluster.done if said.startswith(("osd out", "osd purge"))]
    disk.write_bytes(bytes(100))
    cluster.there = False
    host.drain()
    host.forget()


def test_a_dry_run_asks_and_changes_nothing(leaving: ModuleType, disk: Path, cluster: StubCluster) -> None:
    host = leaving.Host(FSID, "stor01", {str(disk): 0}, check=True)
    host.drain()
    host.forget()
    assert host.done[0] == "move what is on osd.1 to other hosts"
    assert not [said for said in cluster.done if not said.startswith("osd safe-to-destroy")]
