"""Fabrics written by hand, for what reads a fabric: no planner decides anything in them."""

from __future__ import annotations

from platform_iac.fabric.model import Adapter, Cable, Fabric, Switch
from platform_iac.spec.hostlist import expand


def fabric(hosts: str, *, rails: int = 8, unit: int = 32, pods: int = 0, racks: bool = False) -> Fabric:
    """Return a rail-optimised fabric of `hosts` (a hostlist), `unit` to a scalable unit, one manager on the first leaf.

    `pods` of equal numbers of units make it three tiers; 0 makes it two.
    """
    names = expand(hosts)
    units = -(-len(names) // unit)
    per_pod = -(-units // pods) if pods else units
    adapters, cables = [], []
    leaves = [
        Switch(name=f"leaf-{number:02}-{rail}", tier="leaf", ports=64, group=number, rail=rail)
        for number in range(1, units + 1)
        for rail in range(1, rails + 1)
    ]
    for index, host in enumerate(names):
        group = index // unit + 1
        rack = f"r{index // 4 + 1:02}" if racks else ""
        for rail in range(1, rails + 1):
            adapter = Adapter(host=host, device=f"mlx5_{rail - 1}", rail=rail, group=group, rack=rack)
            adapters.append(adapter)
            cables.append(_cable("node_leaf", adapter.name, 1, f"leaf-{group:02}-{rail}", index % unit + 1))
    adapters.append(Adapter(host="ufm01", device="mlx5_0", rail=0))
    cables.append(_cable("manager", "ufm01 mlx5_0", 1, "leaf-01-1", 32))
    spines, cores = [], []
    for leaf in leaves:
        pod = (leaf.group - 1) // per_pod + 1 if pods else 0
        spine = f"spine-{pod:02}-01" if pods else "spine-001"
        cables.append(_cable("leaf_spine", leaf.name, 33, spine, 1))
        if spine not in [known.name for known in spines]:
            spines.append(Switch(name=spine, tier="spine", ports=64, group=pod))
            if pods:
                cables.append(_cable("spine_core", spine, 33, "core-001", pod))
    if pods:
        cores.append(Switch(name="core-001", tier="core", ports=64))
    return Fabric(
        kind="infiniband",
        tiers=3 if pods else 2,
        rails=rails,
        radix=64,
        unit=unit,
        end_ports=units * unit * rails,
        blocking=1.0,
        switches=(*leaves, *spines, *cores),
        adapters=tuple(adapters),
        cables=tuple(cables),
    )


def _cable(layer: str, a: str, a_port: int, b: str, b_port: int) -> Cable:
    return Cable(layer=layer, a=a, a_port=a_port, b=b, b_port=b_port, rate_gbps=400)  # type: ignore[arg-type]
