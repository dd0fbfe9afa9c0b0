"""`platform-iac fabric`: how many switches and cables a spec's fabric takes."""

from __future__ import annotations

import json as jsons
from collections import Counter
from typing import TYPE_CHECKING, Any

from platform_iac.commands import layout
from platform_iac.commands.errors import CommandError
from platform_iac.fabric import labels as topology
from platform_iac.plan.make import hosts, wire
from platform_iac.spec.load import load

if TYPE_CHECKING:
    from platform_iac.fabric.model import Fabric

CABLES = {
    "node_leaf": "nodes to leaves",
    "manager": "managers to leaves",
    "leaf_spine": "leaves to spines",
    "spine_core": "spines to cores",
}


def fabric(stack: str, *, json: bool, labels: bool) -> int:
    """Print the numbers of a spec's fabric, or its hosts' labels; the spec needs no more than `fabric` and a pool."""
    spec = load(stack)
    wired = wire(spec, hosts(spec))
    if wired is None:
        raise CommandError(f"{spec.name} has no fabric — add `fabric: {{kind: infiniband}}` to its spec")
    if labels:
        print(jsons.dumps({"levels": topology.levels(wired), "hosts": topology.labels(wired)}, indent=2))
        return 0
    print(jsons.dumps(numbers(wired), indent=2) + "\n" if json else summary(spec.name, wired), end="")
    return 0


def numbers(wired: Fabric) -> dict[str, Any]:
    """Return switches by tier, end ports (used or not), cables by layer, and what else sizes a fabric.

    `bisection_ratio` is what the leaves' uplinks carry of their end ports: 1.0 is everything.
    """
    tiers = Counter(switch.tier for switch in wired.switches)
    layers = Counter(cable.layer for cable in wired.cables)
    return {
        "kind": wired.kind,
        "rails": wired.rails,
        "radix": wired.radix,
        "unit": wired.unit,
        "tiers": wired.tiers,
        "leaves": tiers["leaf"],
        "spines": tiers["spine"],
        "cores": tiers["core"],
        "end_ports": wired.end_ports,
        "cables": {layer: layers[layer] for layer in ("node_leaf", "leaf_spine", "spine_core", "manager")},
        "bisection_ratio": 1 / wired.blocking,
        "notes": list(wired.notes),
    }


def summary(name: str, wired: Fabric) -> str:
    """Return the numbers for people."""
    found = numbers(wired)
    used = found["cables"]
    ends = used["node_leaf"] + used["manager"]
    parts = [
        f"{name}: {wired.kind}, {wired.rails} rails, switches with {wired.radix} ports, {wired.tiers} tiers\n",
        layout.table(
            "Switches",
            [(tier, f"{found[tier]:,}") for tier in ("leaves", "spines", "cores") if found[tier]],
        ),
        layout.table("Cables", [(CABLES[layer], f"{count:,}") for layer in CABLES if (count := used[layer])]),
        layout.table(
            "Ports",
            [
                ("for nodes and managers", f"{wired.end_ports:,}, {ends:,} used"),
                ("uplinks to end ports", f"{found['bisection_ratio']:.3g}"),
            ],
        ),
        layout.table("Notes", [(note,) for note in wired.notes]),
    ]
    return "\n".join(part for part in parts if part)
