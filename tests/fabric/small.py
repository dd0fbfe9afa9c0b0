"""A small fabric made by hand: two tiers, one leaf per unit and rail, every leaf on every spine."""

from __future__ import annotations

from platform_iac.fabric.model import Adapter, Cable, Fabric, Switch


def fabric(
    *, units: int = 2, nodes: int = 4, rails: int = 2, spines: int = 2, rate_gbps: int = 400, guids: bool = True
) -> Fabric:
    """`nodes` hosts in each unit, `gpu01` on; adapters on a leaf's ports from 1, spines on its ports from 33."""

    def guid(number: int) -> str:
        return f"{0xE41D2D0000000000 + number:016x}" if guids else ""

    leaves = [
        Switch(name=f"leaf-{unit:02}-{rail}", tier="leaf", ports=64, group=unit, rail=rail, guid=guid(unit * 16 + rail))
        for unit in range(1, units + 1)
        for rail in range(1, rails + 1)
    ]
    tops = [Switch(name=f"spine-{n:03}", tier="spine", ports=64, guid=guid(0x1000 + n)) for n in range(1, spines + 1)]
    adapters = [
        Adapter(
            host=f"gpu{(unit - 1) * nodes + node:02}",
            device=f"mlx5_{rail - 1}",
            rail=rail,
            group=unit,
            guid=guid(0x100000 + unit * 0x10000 + node * 0x100 + rail * 2 + 1),
        )
        for unit in range(1, units + 1)
        for node in range(1, nodes + 1)
        for rail in range(1, rails + 1)
    ]
    down = [
        Cable(
            layer="node_leaf",
            a=adapter.name,
            a_port=1,
            b=f"leaf-{adapter.group:02}-{adapter.rail}",
            b_port=(int(adapter.host[3:]) - 1) % nodes + 1,
            rate_gbps=rate_gbps,
        )
        for adapter in adapters
    ]
    up = [
        Cable(layer="leaf_spine", a=leaf.name, a_port=33 + n, b=spine.name, b_port=number + 1, rate_gbps=rate_gbps)
        for number, leaf in enumerate(leaves)
        for n, spine in enumerate(tops)
    ]
    return Fabric(
        kind="infiniband",
        tiers=2,
        rails=rails,
        radix=64,
        unit=nodes,
        end_ports=len(adapters),
        blocking=1.0,
        switches=tuple(leaves + tops),
        adapters=tuple(adapters),
        cables=tuple(down + up),
    )
