"""What holds for every fabric, whatever its numbers: ports, counts, and that every pair is reachable."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from fractions import Fraction
from typing import Any

from platform_iac.fabric.model import Fabric, Layer
from platform_iac.fabric.sizes import Wish
from platform_iac.fabric.tree import End, plan

LAYERS: tuple[Layer, ...] = ("node_leaf", "leaf_spine", "spine_core", "manager")


def nodes(count: int, rails: int = 8, rate_gbps: int = 400) -> list[End]:
    """Return so many hosts `n0001` … with a port for every rail."""
    devices = tuple(f"mlx5_{port}" for port in range(rails))
    return [End(host=f"n{number:04}", devices=devices, rate_gbps=rate_gbps) for number in range(1, count + 1)]


def wired(count: int, **wish: Any) -> Fabric:
    """Return the fabric of so many nodes; radix 64 and 8 rails where nothing else is said."""
    asked = Wish(**{"radix": 64, "rails": 8, **wish})
    return plan("infiniband", asked, nodes(count, asked.rails))


def counts(fabric: Fabric) -> tuple[int, int, int]:
    """Return leaves, spines, cores."""
    tiers = Counter(switch.tier for switch in fabric.switches)
    return tiers["leaf"], tiers["spine"], tiers["core"]


def cables(fabric: Fabric) -> dict[str, int]:
    """Return the number of cables of each layer."""
    found = Counter(cable.layer for cable in fabric.cables)
    return {layer: found[layer] for layer in LAYERS}


def hold(fabric: Fabric) -> None:
    """Fail where a fabric is none that people could plug: see the single assertions."""
    switches = {switch.name: switch for switch in fabric.switches}
    adapters = {adapter.name: adapter for adapter in fabric.adapters}
    assert len(switches) == len(fabric.switches), "two switches of one name"
    assert len(adapters) == len(fabric.adapters), "two adapters of one name"
    assert not switches.keys() & adapters.keys()
    used = Counter(end for one in fabric.cables for end in ((one.a, one.a_port), (one.b, one.b_port)))
    assert set(used.values()) <= {1}, f"port used twice: {used.most_common(3)}"
    for name, port in used:
        assert 1 <= port <= (switches[name].ports if name in switches else 1), f"{name} has no port {port}"
    _layers(fabric)
    _balance(fabric)
    _reach(fabric)


def _layers(fabric: Fabric) -> None:
    """Every cable leads one tier up, and every adapter has exactly one."""
    tier = {switch.name: switch.tier for switch in fabric.switches}
    ends = {"node_leaf": ("", "leaf"), "manager": ("", "leaf"), "leaf_spine": ("leaf", "spine")}
    for one in fabric.cables:
        assert (tier.get(one.a, ""), tier.get(one.b)) == ends.get(one.layer, ("spine", "core")), one
    hanging = Counter(one.a for one in fabric.cables if one.layer in ("node_leaf", "manager"))
    assert hanging == Counter(adapter.name for adapter in fabric.adapters)


def _balance(fabric: Fabric) -> None:
    """A leaf has its end ports by `blocking` in uplinks; a spine under cores has as many cables up as down."""
    up, down = Counter(one.a for one in fabric.cables), Counter(one.b for one in fabric.cables)
    leaves = [switch.name for switch in fabric.of_tier("leaf")]
    assert {up[leaf] * fabric.blocking * len(leaves) for leaf in leaves} == {fabric.end_ports}
    if fabric.tiers == 3:
        assert all(up[spine.name] == down[spine.name] for spine in fabric.of_tier("spine"))
    for tier in ("spine", "core"):
        loads = [down[switch.name] for switch in fabric.of_tier(tier)]
        spread = max(loads, default=0) - min(loads, default=0)
        assert spread <= fabric.radix // 2, f"{tier}s carry {min(loads)} to {max(loads)} cables"


def _reach(fabric: Fabric) -> None:
    """Every two leaves meet in one switch at the top of their shortest way up."""
    above: dict[str, set[str]] = {}
    for one in fabric.cables:
        if one.layer in ("leaf_spine", "spine_core"):
            above.setdefault(one.a, set()).add(one.b)
    tops = [frozenset(_up({leaf.name}, above, fabric.tiers - 1)) for leaf in fabric.of_tier("leaf")]
    different = sorted(set(tops), key=sorted)
    for number, one in enumerate(different):
        assert one, "a leaf without uplinks"
        for other in different[number + 1 :]:
            assert one & other, "two leaves have no way to each other"


def _up(names: Iterable[str], above: dict[str, set[str]], steps: int) -> set[str]:
    found = set(names)
    for _ in range(steps):
        found = {higher for name in found for higher in above.get(name, ())}
    return found


def ratio(text: str) -> Fraction:
    """Return `3:1` as a number."""
    down, up = text.split(":")
    return Fraction(int(down), int(up))
