"""How large a fabric of switches gets: from ports and nodes to leaves, spines and cores.

Rules (NVIDIA DGX SuperPOD reference architecture, H100, for the two-tier tables; folded Clos networks
for the rest): a leaf has as many ports down as up, or b times as many with b:1 blocking. It is built for
full scalable units. Uplinks spread evenly, so the number of spines divides them: 24 leaves of 64 ports
take 16 spines, not 12. A switch reaches `radix` others, so two tiers end at `radix` leaves (radix^2/2 end
ports) and three at radix^2/2 leaves (radix^3/4 end ports).
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from fractions import Fraction
from typing import TYPE_CHECKING, Final, Literal

from platform_iac.fabric import pods

if TYPE_CHECKING:
    from platform_iac.fabric.pods import Pods

Design = Literal["rail-optimised", "fat-tree"]
LARGEST_RADIX: Final = 512
RADICES: Final = (32, 36, 40, 64, 128, 144, 256, LARGEST_RADIX)
"""What an error proposes: ports of switches that are sold, and the largest that is planned."""


class FabricError(ValueError):
    """These numbers cannot be cabled: what is wrong — the nearest that can be."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Wish:
    """What is asked for. `unit` 0 and `tiers` 0 leave the choice to the planner."""

    rails: int
    radix: int
    unit: int = 0
    tiers: Literal[0, 2, 3] = 0
    blocking: Fraction = Fraction(1)
    """Ports down to ports up of a leaf."""
    design: Design = "rail-optimised"
    """All nodes' rail i of a unit on its leaf i, or all rails of a node on one leaf."""
    manager_cables: int = 4


@dataclass(frozen=True, slots=True, kw_only=True)
class Size:
    """Every number of a fabric. `slots` is room for nodes: an end port for each rail."""

    wish: Wish
    tiers: int
    unit: int
    units: int
    node_ports: int
    """Ports of a leaf kept for nodes, used or not: uplinks begin behind them."""
    down: int
    """End ports of a leaf in full units."""
    up: int
    """Uplinks of a leaf."""
    unit_leaves: int
    manager_slots: int
    """Node slots of the last unit that give way to managers."""
    pods: Pods

    @property
    def leaves(self) -> int:
        """Leaves of all units."""
        return self.units * self.unit_leaves

    @property
    def slots(self) -> int:
        """Node slots of all units."""
        return self.units * self.unit

    @property
    def end_ports(self) -> int:
        """Ports for adapters, used or not."""
        return self.slots * self.wish.rails

    @property
    def leaf_slots(self) -> int:
        """Node slots that share a leaf."""
        return self.unit if self.wish.design == "rail-optimised" else self.down // self.wish.rails

    @property
    def most_nodes(self) -> int:
        """Nodes that this number of tiers can carry, at most."""
        return _most_nodes(self.wish, self.tiers, self.unit, self.unit_leaves)


def size(wish: Wish, slots: int) -> Size:
    """Return the numbers of the smallest fabric with `slots` node slots beside the managers'.

    Raises:
        FabricError: no fabric of these numbers can be cabled.
    """
    node_ports = _node_ports(wish)
    unit, down, unit_leaves = _unit(wish, node_ports)
    up = Fraction(down) / wish.blocking
    if up.denominator != 1:
        step = wish.blocking.numerator
        per = 1 if wish.design == "rail-optimised" else wish.rails
        raise FabricError(
            f"{down} end ports of a leaf give no whole number of uplinks at {_ratio(wish.blocking)} blocking — "
            f"take units that put {_either(down // step * step, -(-down // step) * step, node_ports)} on a leaf"
            + (f" ({per} of each node)" if per > 1 else "")
        )
    manager_slots = -(-wish.manager_cables // wish.rails)
    units = max(1, -(-(slots + manager_slots) // unit))
    tiers = wish.tiers or (2 if units * unit_leaves <= wish.radix else 3)
    if units * unit_leaves > _most_leaves(wish, tiers):
        raise FabricError(_too_many(wish, slots, tiers, unit, unit_leaves))
    return Size(
        wish=wish,
        tiers=tiers,
        unit=unit,
        units=units,
        node_ports=node_ports,
        down=down,
        up=int(up),
        unit_leaves=unit_leaves,
        manager_slots=manager_slots,
        pods=pods.choose(tiers, units * unit_leaves, int(up), wish.radix, unit_leaves),
    )


def _node_ports(wish: Wish) -> int:
    """Ports of a leaf on the side of the nodes."""
    if not 4 <= wish.radix <= LARGEST_RADIX:
        bound = 4 if wish.radix < 4 else LARGEST_RADIX
        raise FabricError(f"a switch of {wish.radix} ports is none to build a fabric of — take `radix: {bound}`")
    if wish.radix % 2:
        raise FabricError(
            f"{wish.radix} ports of a switch cannot be halved — take `radix: {wish.radix - 1}` or {wish.radix + 1}"
        )
    down = wish.radix * wish.blocking / (wish.blocking + 1)
    if down.denominator == 1 and down < wish.radix:
        return int(down)
    below = max(wish.radix // 2, int(down))
    nearest = [Fraction(ports, wish.radix - ports) for ports in (below, below + 1) if ports < wish.radix]
    raise FabricError(
        f"{wish.radix} ports of a leaf cannot be shared out {_ratio(wish.blocking)} — take `blocking: "
        + " or ".join(f"{float(one):.6g}` ({_ratio(one)})" for one in nearest)
    )


def _unit(wish: Wish, node_ports: int) -> tuple[int, int, int]:
    """Return (node slots of a unit, end ports of a leaf, leaves of a unit)."""
    if wish.rails < 1:
        raise FabricError("a fabric without rails connects nothing — give the hosts ports, or take `fabric` out")
    if wish.design == "rail-optimised":
        if wish.unit > node_ports:
            raise FabricError(
                f"a unit of {wish.unit} nodes needs as many ports of each of its leaves, which have {node_ports} — "
                f"take `unit: {node_ports}` or less"
            )
        return wish.unit or node_ports, wish.unit or node_ports, wish.rails
    on_leaf = node_ports // wish.rails
    if on_leaf == 0:
        raise FabricError(
            f"{wish.rails} rails of a node do not fit the {node_ports} ports down of one leaf — "
            "take `design: rail-optimised`, or switches with more ports"
        )
    unit = wish.unit or on_leaf
    if unit % on_leaf:
        raise FabricError(
            f"a unit of {unit} nodes does not fill its leaves, which take {on_leaf} nodes each — "
            f"take `unit: {_either(unit // on_leaf * on_leaf, -(-unit // on_leaf) * on_leaf, 1 << 30)}"
        )
    return unit, on_leaf * wish.rails, unit // on_leaf


def _most_leaves(wish: Wish, tiers: int) -> int:
    return wish.radix if tiers == 2 else wish.radix * (wish.radix // 2)


def _most_nodes(wish: Wish, tiers: int, unit: int, unit_leaves: int) -> int:
    units = _most_leaves(wish, tiers) // unit_leaves
    return max(0, units * unit - -(-wish.manager_cables // wish.rails))


def _too_many(wish: Wish, slots: int, tiers: int, unit: int, unit_leaves: int) -> str:
    what = f"{slots:,} nodes with {wish.rails} rails do not fit {tiers} tiers of {wish.radix}-port switches"
    most = _most_nodes(wish, tiers, unit, unit_leaves)
    ways = [f"take {most:,} nodes at most"] if most else []
    if tiers == 2 and _fits(replace(wish, tiers=3), slots):
        ways.append("`tiers: 3`")
    elif radix := next(
        (radix for radix in RADICES if radix > wish.radix and _fits(replace(wish, radix=radix), slots)), 0
    ):
        ways.append(f"`radix: {radix}`")
    return f"{what} — {' or '.join(ways) or 'take fewer nodes or rails'}"


def _fits(wish: Wish, slots: int) -> bool:
    try:
        size(wish, slots)
    except FabricError:
        return False
    return True


def _ratio(blocking: Fraction) -> str:
    return f"{blocking.numerator}:{blocking.denominator}"


def _either(low: int, high: int, most: int) -> str:
    found = [str(one) for one in dict.fromkeys((low, high)) if 0 < one <= most]
    return " or ".join(found)
