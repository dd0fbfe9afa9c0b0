"""How large a fabric of switches gets: from ports and nodes to leaves, spines and cores.

Rules (NVIDIA DGX SuperPOD reference architecture, H100, for the two-tier tables; folded Clos networks
for the rest): a leaf has as many ports down as up, or b times as many with b:1 blocking. It is built for
full scalable units. Uplinks spread evenly, so the number of spines divides them: 24 leaves of 64 ports
take 16 spines, not 12. A switch reaches `radix` others, so two tiers end at `radix` leaves (radix^2/2 end
ports) and three at radix^2/2 leaves (radix^3/4 end ports).
"""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from typing import TYPE_CHECKING, Literal

from platform_iac.fabric import nearest, pods
from platform_iac.fabric.nearest import LARGEST_RADIX

if TYPE_CHECKING:
    from platform_iac.fabric.pods import Pods

Design = Literal["rail-optimised", "fat-tree"]


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
    if wish.rails < 1:
        raise FabricError("a fabric without rails connects nothing — give the hosts ports, or take `fabric` out")
    try:
        return _size(wish, slots)
    except _MisfitError as misfit:

        def fits(other: Wish, others: int | None = None) -> bool:
            try:
                _size(other, slots if others is None else others)
            except _MisfitError:
                return False
            return True

        way = nearest.proposed(wish, misfit.changes, fits, misfit.most)
        raise FabricError(f"{misfit} — {way}") from None


class _MisfitError(Exception):
    """What is wrong with a wish, and what could be wished for instead."""

    def __init__(self, what: str, *changes: nearest.Change, most: int = 0) -> None:
        super().__init__(what)
        self.changes, self.most = changes, most


def _size(wish: Wish, slots: int) -> Size:
    node_ports = _node_ports(wish)
    unit, down, unit_leaves = _unit(wish, node_ports)
    up = Fraction(down) / wish.blocking
    if up.denominator != 1:
        raise _MisfitError(
            f"{down} end ports of a leaf give no whole number of uplinks at {nearest.ratio(wish.blocking)} blocking",
            "unit" if wish.design == "rail-optimised" else "blocking",
        )
    manager_slots = -(-wish.manager_cables // wish.rails)
    units = max(1, -(-(slots + manager_slots) // unit))
    tiers = wish.tiers or (2 if units * unit_leaves <= wish.radix else 3)
    if units * unit_leaves > _most_leaves(wish, tiers):
        raise _MisfitError(
            f"{slots:,} nodes with {wish.rails} rails do not fit {tiers} tiers of {wish.radix}-port switches",
            *("nodes", "tiers", "larger"),
            most=_most_nodes(wish, tiers, unit, unit_leaves),
        )
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
        raise _MisfitError(f"a switch of {wish.radix} ports is none to build a fabric of", "radix")
    if wish.radix % 2:
        raise _MisfitError(f"{wish.radix} ports of a switch cannot be halved", "radix")
    down = wish.radix * wish.blocking / (wish.blocking + 1)
    if down.denominator == 1 and down < wish.radix:
        return int(down)
    raise _MisfitError(f"{wish.radix} ports of a leaf cannot be shared out {nearest.ratio(wish.blocking)}", "blocking")


def _unit(wish: Wish, node_ports: int) -> tuple[int, int, int]:
    """Return (node slots of a unit, end ports of a leaf, leaves of a unit)."""
    if wish.design == "rail-optimised":
        if wish.unit > node_ports:
            raise _MisfitError(
                f"a unit of {wish.unit} nodes needs as many ports of each of its leaves, which have {node_ports}",
                "unit",
            )
        return wish.unit or node_ports, wish.unit or node_ports, wish.rails
    on_leaf = node_ports // wish.rails
    if on_leaf == 0:
        raise _MisfitError(
            f"{wish.rails} rails of a node do not fit the {node_ports} ports down of one leaf", "design", "larger"
        )
    unit = wish.unit or on_leaf
    if unit % on_leaf:
        raise _MisfitError(f"a unit of {unit} nodes does not fill its leaves, which take {on_leaf} nodes each", "unit")
    return unit, on_leaf * wish.rails, unit // on_leaf


def _most_leaves(wish: Wish, tiers: int) -> int:
    return wish.radix if tiers == 2 else wish.radix * (wish.radix // 2)


def _most_nodes(wish: Wish, tiers: int, unit: int, unit_leaves: int) -> int:
    units = _most_leaves(wish, tiers) // unit_leaves
    return max(0, units * unit - -(-wish.manager_cables // wish.rails))
