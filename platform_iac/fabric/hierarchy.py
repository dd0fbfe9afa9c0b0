"""Where hosts are in a fabric: leaf, pod and top, as schedulers place jobs.

A host's adapters hang off several leaves, one per rail, and a scheduler's tree has one place for a host.
Its lowest rail decides: rails are alike, so two hosts that share a leaf on one rail share one on each.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from platform_iac.fabric.model import Adapter, Fabric

TOP: Final = "fabric"
"""The name of the top: every spine of two tiers, or every core of three, seen as one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Where one host is. `pod` is empty in two tiers, `rack` where no racks are planned; `unit` counts from 1."""

    host: str
    leaf: str
    pod: str
    unit: str
    rack: str

    @property
    def path(self) -> tuple[str, ...]:
        """Names from the top down to the host."""
        return tuple(name for name in (TOP, self.pod, self.leaf, self.host) if name)


def places(fabric: Fabric) -> tuple[Place, ...]:
    """Return the place of every host whose adapters are for jobs, in the order of the fabric's adapters."""
    first: dict[str, Adapter] = {}
    for adapter in fabric.adapters:
        if adapter.rail and (adapter.host not in first or adapter.rail < first[adapter.host].rail):
            first[adapter.host] = adapter
    leaves = {cable.a: cable.b for cable in fabric.of_layer("node_leaf")}
    pods = _pods(fabric)
    return tuple(
        Place(
            host=host,
            leaf=leaves[adapter.name],
            pod=pods.get(leaves[adapter.name], ""),
            unit=f"unit-{adapter.group:02}",
            rack=adapter.rack,
        )
        for host, adapter in first.items()
    )


def _pods(fabric: Fabric) -> dict[str, str]:
    """The pod of each leaf: that of the spines above it. Two tiers have none, their spines reach everything."""
    if fabric.tiers < 3:
        return {}
    group = {spine.name: spine.group for spine in fabric.of_tier("spine")}
    return {cable.a: f"pod-{group[cable.b]:02}" for cable in fabric.of_layer("leaf_spine")}
