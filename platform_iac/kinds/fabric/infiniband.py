"""Fabric `infiniband`: from rails, switch ports and scalable units to every switch, port and cable."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import AfterValidator, Field, WithJsonSchema

from platform_iac.fabric import ibnet
from platform_iac.kinds.fabric import _guids, _nccl, _node, _partitions, _subnet, _tree, _ufm
from platform_iac.kinds.fabric._subnet import Manager
from platform_iac.kinds.fabric._tree import Tree
from platform_iac.plan.context import PlanError
from platform_iac.plan.model import Part
from platform_iac.spec.base import setting
from platform_iac.spec.types import Label, wrong

if TYPE_CHECKING:
    from platform_iac.fabric.model import Fabric
    from platform_iac.plan.context import Context
    from platform_iac.plan.model import Check, File, Host
    from platform_iac.spec.model import Platform

_GUID = re.compile(r"[0-9a-f]{16}")


def _guid(text: str) -> str:
    if _GUID.fullmatch(text) is None or not int(text, 16):
        raise wrong(f"{text[:40]!r} is no GUID — write 16 digits 0-9 and a-f without 0x, as `ibstat` shows the port's")
    return text


Guid = Annotated[str, AfterValidator(_guid), WithJsonSchema({"type": "string", "pattern": f"^{_GUID.pattern}$"})]


class Spec(Tree):
    """InfiniBand between the hosts that run jobs."""

    kind: Literal["infiniband"] = setting(impact="replace", description="InfiniBand.")
    manager_cables: Annotated[int, Field(ge=0, le=64)] | None = setting(
        None,
        impact="drain",
        description="Cables to the fabric's managers, which take node slots of the last unit; left out, one for each "
        "port of the hosts with `duty: manager` and 4 at most, or 4 without such hosts.",
    )
    guids: dict[Label, tuple[Guid, ...]] = setting(
        default_factory=dict, impact="reconfigure", description="Port GUIDs of hosts, in rail order."
    )
    switch_guids: dict[Label, Guid] = setting(
        default_factory=dict, impact="reconfigure", description="GUIDs of switches, by their names in the plan."
    )
    sharp: bool = setting(
        default=False,
        impact="reconfigure",
        description="Jobs' collectives are summed up in the switches (NCCL_COLLNET_ENABLE); needs UFM's aggregation "
        "manager, and the plugin nccl-rdma-sharp in the jobs' environment.",
    )
    manager: Manager = setting(Manager(), impact="restart", description="Who manages the subnet, and its partitions.")


def wire(spec: Spec, platform: Platform, hosts: tuple[Host, ...]) -> Fabric:
    """Return every switch, adapter and cable.

    Raises:
        PlanError: it cannot be cabled, or GUIDs do not fit it; with what to do.
    """
    wired = _tree.wire(
        "infiniband",
        spec,
        platform,
        hosts,
        manager_cables=spec.manager_cables,
        guids=spec.guids,
        switch_guids=spec.switch_guids,
    )
    _guids.check(wired, spec.guids, spec.switch_guids)
    return wired


def _fabric(spec: Spec, context: Context) -> Fabric:
    return context.fabric or wire(spec, context.spec, context.hosts)


def plan(name: str, spec: Spec, context: Context) -> Part:  # noqa: ARG001  every kind is called alike
    """Return the runs `infiniband_node`, `infiniband_manager` where hosts manage the fabric, and a twin's double.

    Raises:
        PlanError: managers or partitions do not fit the fabric.
    """
    fabric = _fabric(spec, context)
    partitions = _partitions.planned(spec.manager.partitions, context)
    node = _node.run(partitions, context, fabric, _told(spec, fabric))
    return Part(
        runs=(_subnet.node(node, context, fabric), *_subnet.runs(spec.manager, context, fabric)),
        secrets=_subnet.secrets(spec.manager, context, fabric),
    )


def checks(name: str, spec: Spec, context: Context) -> tuple[Check, ...]:  # noqa: ARG001
    """Return what proves that jobs are told their adapters, and that the fabric is managed as planned."""
    fabric = _fabric(spec, context)
    partitions = _partitions.planned(spec.manager.partitions, context)
    return (
        *_nccl.checks(_told(spec, fabric)),
        *_node.checks(partitions, context, fabric),
        *_subnet.checks(spec.manager, context, fabric),
    )


def _told(spec: Spec, fabric: Fabric) -> dict[str, tuple[File, ...]]:
    """What NCCL reads on the hosts.

    Raises:
        PlanError: SHARP is wanted where nothing could run it.
    """
    if not spec.sharp:
        return _nccl.settings(fabric)
    if spec.manager.kind != "ufm":
        raise PlanError(
            "fabric.sharp: opensm has no aggregation manager, UFM has — take `manager: {kind: ufm}`, or leave it out"
        )
    if not any(leaf.rail for leaf in fabric.of_tier("leaf")):
        raise PlanError("fabric.sharp: a leaf aggregates one rail — take `design: rail-optimised`, or leave it out")
    return _nccl.settings(fabric, {"NCCL_COLLNET_ENABLE": 1})


def exports(spec: Spec, context: Context) -> dict[str, str]:
    """Return what cable checkers and the simulator read, and what UFM is to be told, by file name."""
    fabric = _fabric(spec, context)
    found = {"fabric.ibnetdiscover": ibnet.write(fabric)}
    if spec.manager.kind == "ufm":
        partitions = _partitions.planned(spec.manager.partitions, context)
        found[_ufm.FILE] = _ufm.partitions(partitions, fabric, context)
    return found
