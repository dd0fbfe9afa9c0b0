"""What a reader of a fabric should know beside its numbers."""

from __future__ import annotations

from typing import TYPE_CHECKING

from platform_iac.fabric import pods

if TYPE_CHECKING:
    from platform_iac.fabric.sizes import Size


def notes(numbers: Size, used: int) -> tuple[str, ...]:
    """Return the notes on a fabric whose nodes take `used` slots."""
    return tuple(note for note in (_room(numbers, used), _ports(numbers), _spines(numbers), _spread(numbers)) if note)


def _room(numbers: Size, used: int) -> str:
    free = numbers.slots - numbers.manager_slots - used
    given = f" ({numbers.manager_slots} for the managers)" if numbers.manager_slots else ""
    units = f"{numbers.units} unit{'s' if numbers.units > 1 else ''} of {numbers.unit} node slots{given}"
    most = f"{numbers.tiers} tiers take up to {numbers.most_nodes:,} nodes"
    return f"{units}: room for {free:,} more node{'' if free == 1 else 's'}; {most}"


def _ports(numbers: Size) -> str:
    if numbers.down == numbers.node_ports:
        return ""
    return f"a leaf uses {numbers.down} of its {numbers.node_ports} ports for nodes"


def _spines(numbers: Size) -> str:
    """Why there are more spines than ports ask for."""
    needed = -(-numbers.leaves * numbers.up // numbers.wish.radix)
    if numbers.tiers == 3 or numbers.pods.spines == needed:
        return ""
    return (
        f"{numbers.pods.spines} spines where {needed} have ports enough: "
        f"the {numbers.up} uplinks of a leaf spread evenly over {numbers.pods.spines}"
    )


def _spread(numbers: Size) -> str:
    """That neighbours do not all share the same number of cables, and which sizes near come out even."""
    if numbers.pods.even:
        return ""
    near = [f"{nodes:,}" for nodes in (_even(numbers, -1), _even(numbers, 1)) if nodes]
    hint = f"; {' or '.join(near)} nodes come out even" if near else ""
    return f"pods and cores do not share out evenly: some pairs of switches have more cables than others{hint}"


def _even(numbers: Size, step: int) -> int:
    """Nodes of the nearest number of full units, down or up, that spreads evenly; 0 where there is none."""
    units = numbers.units + step
    while units > 0 and units * numbers.unit - numbers.manager_slots <= numbers.most_nodes:
        leaves = units * numbers.unit_leaves
        if pods.choose(3, leaves, numbers.up, numbers.wish.radix, numbers.unit_leaves).even:
            return units * numbers.unit - numbers.manager_slots
        units += step
    return 0
