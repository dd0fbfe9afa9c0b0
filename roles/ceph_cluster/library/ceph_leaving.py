#!/usr/bin/python
"""Let a host leave a cluster that lives on: its data move to the others, then the cluster forgets it."""

from __future__ import annotations

import math
import time
from pathlib import Path

from ansible.module_utils import ceph_cluster as cluster
from ansible.module_utils.basic import AnsibleModule

DOCUMENTATION = r"""
module: ceph_leaving
short_description: Take a host out of a Ceph cluster without losing a copy
description:
  - V(stage=drain) looks whether the other hosts can hold what is on this one, takes its OSDs out and waits until the
    cluster needs none of them. Where that cannot be, or does not come in time, it fails with everything still running.
  - V(stage=forget) comes once the OSDs have stopped. It removes OSDs, CRUSH bucket, monitor and keys from the cluster.
  - Both go on where an earlier run was killed. A host without anything of the cluster has nothing to do.
options:
  stage:
    choices: [drain, forget]
    required: true
    type: str
  fsid:
    description: The cluster's id.
    required: true
    type: str
  name:
    description: The host's name, which is that of its daemons.
    required: true
    type: str
  disks:
    description: The host's data disks by path.
    required: true
    type: dict
"""

RETURN = r"""
actions:
  description: What was done, or in check mode would be, in words.
  type: list
units:
  description: The host's OSDs as the module C(host_units) takes them.
  type: dict
"""

KEYS = {"mgr.{}": "mgr/ceph-{}", "mds.{}": "mds/ceph-{}", "client.rgw.{}": "radosgw/ceph-rgw.{}"}
FULL = 0.85
"""Fullest that the others may become; there Ceph warns (mon osd nearfull ratio)."""

LEAST_MONITORS = 2
DRAIN_SECONDS = 3600
"""An `up` waits no longer; the data go on moving, and the next one goes on waiting."""

STALL_SECONDS = 300
LOST_SECONDS = 30
"""A cluster that does not answer so long cannot be asked."""

DOWN_SECONDS = 60
STEP_SECONDS = 2


class Host:
    """The host that leaves. `check` only tells; `done` is what was or would be done."""

    def __init__(self, fsid: str, name: str, disks: dict[str, int], *, check: bool) -> None:
        self.name, self.disks, self.check, self.done = name, sorted(disks), check, list[str]()
        self.own = {*cluster.identities(fsid, name, disks).values()}

    @property
    def folders(self) -> list[Path]:
        """The folders of the OSDs that were made here."""
        return sorted(cluster.LIB.glob("osd/ceph-*"))

    def drain(self) -> None:
        """Move the host's data to the others.

        Raises:
            ClusterError: they cannot, or it takes too long.
        """
        if not self._answers():
            return
        self._monitor_may_go()
        if not (osds := self._osds()):
            return
        if unsafe(osds) and (reason := hindrance(self.name, osds)):
            raise cluster.ClusterError(f"{reason}. Nothing was changed; to keep the host, put it back into the spec")
        self.done.append(f"move what is on {', '.join(f'osd.{one}' for one in osds)} to other hosts")
        if self.check:
            return
        for folder in self.folders:
            (folder / cluster.LEAVING).touch()
        cluster.ceph("osd", "out", *map(str, osds))
        wait(self.name, osds)

    def forget(self) -> None:
        """Remove the host from the cluster's maps. What was moved is not asked for again: Ceph itself refuses."""
        if not self._answers():
            return
        for one in self._osds():
            self.done.append(f"the cluster forgets osd.{one}")
            if not self.check:
                purge(one)
        if self.name in members():
            self.done.append(f"the cluster forgets the monitor {self.name}")
            if not self.check:
                # First, so that a host that comes back after all makes the store anew: this one may never join again.
                (cluster.LIB / "mon" / f"ceph-{self.name}" / "keyring").unlink(missing_ok=True)
                cluster.ceph("mon", "remove", self.name)
        if not self.check:
            cluster.ceph("osd", "crush", "rm", self.name)
            for entity, folder in KEYS.items():
                (cluster.LIB / folder.format(self.name) / "keyring").unlink(missing_ok=True)
                cluster.ceph("auth", "rm", entity.format(self.name))

    def _osds(self) -> list[int]:
        """Return the OSDs that the cluster knows on this host, also those whose disk is gone."""
        below = {
            child
            for node in cluster.ask("osd", "tree")["nodes"]
            if node["type"] == "host" and node["name"] == self.name
            for child in node["children"]
        }
        mine = {osd["osd"] for osd in cluster.ask("osd", "dump")["osds"] if osd["uuid"] in self.own}
        return sorted(below | mine)

    def _answers(self) -> bool:
        """Whether the cluster can be asked. A host without its data needs no answer, any other one does."""
        try:
            cluster.ceph("mon", "stat", seconds=LOST_SECONDS)
        except cluster.ClusterError as error:
            held = [path for path in self.disks if cluster.label(path) in self.own]
            if not held:
                return False
            raise cluster.ClusterError(
                f"{', '.join(held)} may hold the only copy of something, and the cluster cannot be asked ({error}) — "
                "start its monitors and run again; once the whole cluster is gone for good, make the disks blank "
                "yourself (`wipefs --all`) and run again"
            ) from error
        return True

    def _monitor_may_go(self) -> None:
        there = members()
        if self.name not in there:
            return
        if len(there) <= LEAST_MONITORS:
            raise cluster.ClusterError(
                f"{self.name} has one of the last {len(there)} monitors — the rest of this run makes those of other "
                "hosts; run again"
            )
        try:
            cluster.ceph("mon", "ok-to-rm", self.name)
        except cluster.ClusterError as error:
            raise cluster.ClusterError(
                f"without {self.name} the monitors would not agree — mend the others first: {error}"
            ) from None


def members() -> set[str]:
    """Return the names of the monitors in the cluster's map."""
    return {monitor["name"] for monitor in cluster.ask("mon", "dump")["mons"]}


def unsafe(osds: list[int]) -> str:
    """Return why the cluster still needs one of the OSDs; empty where it needs none.

    Ceph's own answer is not enough: right after an OSD is out it says that this is safe to destroy, while groups look
    for their new places and nothing is copied yet (seen with 16.2).
    """
    try:
        groups = cluster.ask("pg", "dump", "pgs_brief").get("pg_stats", [])
        if here := sum(1 for group in groups if {*osds} & {*group["up"], *group["acting"]}):
            return f"{here} placement groups are on it"
        if ill := [group["state"] for group in groups if not whole(group["state"])]:
            return f"{len(ill)} placement groups lack copies elsewhere, the first is {ill[0]}"
        cluster.ceph("osd", "safe-to-destroy", *map(str, osds))
    except cluster.ClusterError as error:
        return str(error)
    return ""


def whole(state: str) -> bool:
    """Whether a placement group has all its copies, and they are alike."""
    return state.startswith("active+clean") and "inconsistent" not in state


def hindrance(name: str, osds: list[int]) -> str:
    """Return why the other hosts could never hold what is on these OSDs; empty where they can."""
    nodes = cluster.ask("osd", "tree")["nodes"]
    there = {node["id"] for node in nodes if node["type"] == "osd" and node["status"] == "up" and node["reweight"]}
    others = there - {*osds}
    hosts = [node["name"] for node in nodes if node["type"] == "host" and others & {*node["children"]}]
    for pool in cluster.ask("osd", "pool", "ls", "detail"):
        if pool["size"] > len(hosts):
            return (
                f"pool {pool['pool_name']} keeps {pool['size']} copies on different hosts, and without {name} "
                f"{len(hosts)} are up — let another host join first, in a run of its own"
            )
    filled = {node["id"]: (node["kb_used"], node["kb"]) for node in cluster.ask("osd", "df")["nodes"]}
    used, room = sum(used for used, _ in filled.values()), sum(filled[one][1] for one in others if one in filled)
    if used > FULL * room:
        return (
            f"{used / 2**20:,.0f} GiB would fill the other hosts' {room / 2**20:,.0f} GiB beyond {FULL:.0%} — "
            "let another host join first, or remove data"
        )
    return ""


def wait(name: str, osds: list[int]) -> None:
    """Wait until the cluster needs none of the OSDs.

    Raises:
        ClusterError: nothing has moved for STALL_SECONDS, or it takes longer than DRAIN_SECONDS.
    """
    begun = moved = time.monotonic()
    least = math.inf
    while reason := unsafe(osds):
        now = time.monotonic()
        if (left := to_move()) < least:
            least, moved = left, now
        if now - moved > STALL_SECONDS or now - begun > DRAIN_SECONDS:
            raise cluster.ClusterError(
                f"the data of {name} are not all on other hosts ({reason}). Its disks are out and still serve: what "
                "can move goes on moving — run again later; to keep the host, put it back into the spec"
            )
        time.sleep(STEP_SECONDS)


def to_move() -> float:
    """Return how many objects and placement groups are not where they should be, infinite where nobody can tell."""
    try:
        groups = cluster.ask("status")["pgmap"]
    except cluster.ClusterError:
        return math.inf
    ill = sum(state["count"] for state in groups["pgs_by_state"] if not state["state_name"].startswith("active+clean"))
    return float(ill + groups.get("misplaced_objects", 0) + groups.get("degraded_objects", 0))


def purge(osd: int) -> None:
    """Remove an OSD that has stopped. Without a word of force, so that Ceph looks again whether that is safe.

    Raises:
        ClusterError: it is not, for DOWN_SECONDS.
    """
    end = time.monotonic() + DOWN_SECONDS
    while True:
        try:
            cluster.ceph("osd", "down", str(osd))
            cluster.ceph("osd", "purge", str(osd))
        except cluster.ClusterError:
            if time.monotonic() > end:
                raise
            time.sleep(STEP_SECONDS)
        else:
            return


def main() -> None:
    """Run as an Ansible module."""
    module = AnsibleModule(
        argument_spec={
            "stage": {"type": "str", "required": True, "choices": ["drain", "forget"]},
            "fsid": {"type": "str", "required": True},
            "name": {"type": "str", "required": True},
            "disks": {"type": "dict", "required": True},
        },
        supports_check_mode=True,
    )
    asked = module.params
    host = Host(asked["fsid"], asked["name"], asked["disks"], check=module.check_mode)
    try:
        if asked["stage"] == "drain":
            host.drain()
        else:
            host.forget()
    except (cluster.ClusterError, OSError) as error:
        module.fail_json(msg=str(error))
    text = "".join(f"{action}\n" for action in host.done)
    module.exit_json(
        changed=bool(host.done),
        actions=host.done,
        units={f"ceph-osd@{folder.name.rpartition('-')[2]}.service": {} for folder in host.folders},
        diff={"before": "", "after": text} if host.done else {},
    )


if __name__ == "__main__":
    main()
