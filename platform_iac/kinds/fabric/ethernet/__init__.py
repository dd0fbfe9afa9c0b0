"""Fabric `ethernet`: RoCE v2 over leaves and spines, lossless by PFC and ECN, routed by BGP to every host's port."""

from __future__ import annotations

from ipaddress import IPv4Network
from typing import TYPE_CHECKING

from platform_iac.fabric import dot
from platform_iac.kinds.fabric import _nccl, _tree
from platform_iac.kinds.fabric.ethernet import ports, rails, sonic
from platform_iac.kinds.fabric.ethernet.addresses import AddressError, Addresses
from platform_iac.kinds.fabric.ethernet.spec import Lossless, Spec
from platform_iac.plan.context import PlanError
from platform_iac.plan.model import Part

if TYPE_CHECKING:
    from platform_iac.fabric.model import Fabric
    from platform_iac.plan.context import Context
    from platform_iac.plan.model import Check, File, Host
    from platform_iac.spec.model import Platform

__all__ = ["Lossless", "Spec", "checks", "exports", "plan", "wire"]


def wire(spec: Spec, platform: Platform, hosts: tuple[Host, ...]) -> Fabric:
    """Return every switch, adapter and cable.

    Raises:
        PlanError: it cannot be cabled, or addressed; with what to do.
    """
    wired = _tree.wire("ethernet", spec, platform, hosts)
    _addresses(spec, wired)
    own = IPv4Network(spec.network)
    for name, site in platform.sites.items():
        network = getattr(site, "network", None)
        if network and own.overlaps(IPv4Network(network)):
            raise PlanError(f"fabric.network: {own} overlaps {network} of site `{name}` — give the fabric its own")
    return wired


def plan(name: str, spec: Spec, context: Context) -> Part:  # noqa: ARG001  every kind is called alike
    """Return the run `ethernet_node`: every rail's address, MTU and priorities, and what NCCL reads.

    Raises:
        PlanError: a port has no interface, or shares one with the host's management.
    """
    fabric = context.fabric or wire(spec, context.spec, context.hosts)
    return Part(runs=(rails.run(spec, context, fabric, _addresses(spec, fabric), _told(spec, fabric)),))


def checks(name: str, spec: Spec, context: Context) -> tuple[Check, ...]:  # noqa: ARG001
    """Return what proves that rails are as planned and that jobs are told of them."""
    fabric = context.fabric or wire(spec, context.spec, context.hosts)
    return (*rails.checks(spec, context, fabric, _addresses(spec, fabric)), *_nccl.checks(_told(spec, fabric)))


def exports(spec: Spec, context: Context) -> dict[str, str]:
    """Return the configuration of every switch, and fabric.dot with the ports' own names, by file name.

    Wants a fabric with the lengths of its cables.
    """
    fabric = context.fabric or wire(spec, context.spec, context.hosts)
    addresses = _addresses(spec, fabric)
    return {
        "fabric.dot": dot.write(fabric, context.spec.name, ports.names(spec, fabric, context)),
        **{f"switches/{name}.json": text for name, text in sonic.configurations(spec, fabric, addresses)},
    }


def _addresses(spec: Spec, fabric: Fabric) -> Addresses:
    try:
        return Addresses(fabric, spec.network, spec.first_asn)
    except AddressError as error:
        raise PlanError(f"fabric.network: {error}") from error


def _told(spec: Spec, fabric: Fabric) -> dict[str, tuple[File, ...]]:
    """What NCCL reads: which GID is RoCE v2's, and the DSCP that switches know as lossless (NCCL, "NCCL_IB_TC")."""
    return _nccl.settings(
        fabric,
        {
            "NCCL_IB_GID_INDEX": spec.lossless.gid_index,
            "NCCL_IB_SL": spec.lossless.priority,
            "NCCL_IB_TC": spec.lossless.traffic_class,
        },
    )
