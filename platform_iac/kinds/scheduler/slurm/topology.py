"""The fabric as Slurm sees it, so that a job's nodes are near each other: a tree of switches, or blocks.

Every compute host must be under a switch and one switch above all of them, or slurmctld cannot place a
job across the fabric (topology.conf, "topology/tree"); hosts that hang on no fabric get a leaf of their own.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import log2
from typing import TYPE_CHECKING, Final, Literal

from platform_iac.fabric.hierarchy import TOP, places
from platform_iac.plan.context import PlanError
from platform_iac.plan.model import File
from platform_iac.plan.render import render
from platform_iac.spec.hostlist import compress

if TYPE_CHECKING:
    from collections.abc import Iterable

    from platform_iac.fabric.hierarchy import Place
    from platform_iac.kinds.scheduler.slurm.spec import Spec
    from platform_iac.plan.context import Context

OUTSIDE: Final = "outside"
"""The leaf of hosts that hang on no fabric."""

YAML_SINCE: Final = "25.05"
"""The first version that reads topology.yaml, and then ignores topology.conf (topology.yaml(5))."""

Plugin = Literal["tree", "block"]


@dataclass(frozen=True, slots=True)
class Switch:
    """One switch of the tree, with hosts or other switches under it, as a hostlist."""

    name: str
    nodes: str = ""
    children: str = ""


@dataclass(frozen=True, slots=True)
class Block:
    """Hosts of one scalable unit, as a hostlist."""

    name: str
    nodes: str


def plugin(spec: Spec, context: Context) -> Plugin | None:
    """Return how Slurm is told about the fabric; None where there is none, or the spec wants none of it."""
    if spec.topology == "none" or (context.fabric is None and spec.topology == "auto"):
        return None
    if context.fabric is None:
        raise PlanError(f"scheduler.topology: `{spec.topology}` describes a fabric — add `fabric`, or leave it out")
    return "block" if spec.topology == "block" else "tree"


def line(spec: Spec, context: Context) -> str:
    """Return `TopologyPlugin` of slurm.conf; empty where topology.yaml or nothing names a plugin."""
    chosen = plugin(spec, context)
    return f"topology/{chosen}" if chosen and spec.version < YAML_SINCE else ""


def file(spec: Spec, context: Context, directory: str) -> File | None:
    """Return topology.conf, or topology.yaml where the version reads it; None without a fabric to describe.

    Raises:
        PlanError: blocks are wanted, and a compute host is in none.
    """
    chosen = plugin(spec, context)
    if chosen is None:
        return None
    if chosen == "tree":
        values = {"name": "tree", "switches": tree(context)}
    else:
        found = blocks(context)
        values = {"name": "block", "blocks": found, "sizes": sizes(_inside(context))}
    name = "topology.yaml" if spec.version >= YAML_SINCE else "topology.conf"
    text = render("slurm_controller", f"{name}.j2", **{"switches": (), "blocks": (), "sizes": (), **values})
    return File(path=f"{directory}/{name}", content=text)


def tree(context: Context) -> tuple[Switch, ...]:
    """Return the switches from the leaves up; the last one is the top."""
    inside = _inside(context)
    leaves = _by((place.leaf, place.host) for place in inside)
    pods = _by((place.pod, place.leaf) for place in inside if place.pod)
    found = [Switch(name, nodes=compress(hosts)) for name, hosts in leaves.items()]
    found += [Switch(name, children=_names(children)) for name, children in pods.items()]
    under_top = [*(pods or leaves)]
    if outside := _outside(context, inside):
        found.append(Switch(OUTSIDE, nodes=compress(outside)))
        under_top.append(OUTSIDE)
    return (*found, Switch(TOP, children=_names(under_top)))


def blocks(context: Context) -> tuple[Block, ...]:
    """Return one block per scalable unit.

    Raises:
        PlanError: a compute host is on no fabric, so that no block could hold it.
    """
    inside = _inside(context)
    if outside := _outside(context, inside):
        raise PlanError(
            f"scheduler.topology: {compress(outside)} hang on no fabric, so they are in no block — use `tree`"
        )
    return tuple(Block(name, compress(hosts)) for name, hosts in _by((p.unit, p.host) for p in inside).items())


def sizes(inside: tuple[Place, ...]) -> tuple[int, ...]:
    """Return BlockSizes: the smallest unit, and the pod where it is a power of two of units (topology.conf)."""
    units = _by((place.unit, place.host) for place in inside)
    base = min(len(hosts) for hosts in units.values())
    pods = _by((place.pod, place.unit) for place in inside if place.pod)
    most = max((len(set(units_of)) for units_of in pods.values()), default=1)
    return (base, base * most) if most > 1 and log2(most).is_integer() else (base,)


def addresses(context: Context) -> dict[str, str]:
    """Return SLURM_TOPOLOGY_ADDR of a job on each compute host: switches from the top down, then the host (srun)."""
    inside = _inside(context)
    found = {place.host: ".".join(place.path) for place in inside}
    return found | {host: f"{TOP}.{OUTSIDE}.{host}" for host in _outside(context, inside)}


def _inside(context: Context) -> tuple[Place, ...]:
    compute = {host.name for host in context.with_duty("compute")}
    found = places(context.fabric) if context.fabric else ()
    return tuple(place for place in found if place.host in compute)


def _outside(context: Context, inside: tuple[Place, ...]) -> tuple[str, ...]:
    known = {place.host for place in inside}
    return tuple(host.name for host in context.with_duty("compute") if host.name not in known)


def _by(pairs: Iterable[tuple[str, str]]) -> dict[str, list[str]]:
    """Members by group, both in the order in which they come."""
    found: dict[str, list[str]] = {}
    for group, member in pairs:
        found.setdefault(group, []).append(member)
    return found


def _names(names: Iterable[str]) -> str:
    """Names of switches as a list: their number stands in the middle, where no hostlist shortens it."""
    return ",".join(dict.fromkeys(names))
