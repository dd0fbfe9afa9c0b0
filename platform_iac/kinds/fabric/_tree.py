"""What fabrics of every kind have in common: the numbers of their switches, and the hosts on them."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import Field

from platform_iac.fabric import nearest, racks, tree
from platform_iac.fabric.ibnet import placeholder
from platform_iac.fabric.nearest import LARGEST_BLOCKING, LARGEST_RADIX, LARGEST_UNIT
from platform_iac.fabric.racks import LayoutError
from platform_iac.fabric.sizes import Design, FabricError, Wish
from platform_iac.fabric.tree import End
from platform_iac.kinds.fabric._layout import Hall
from platform_iac.plan.context import PlanError
from platform_iac.spec.base import Model, setting
from platform_iac.spec.types import PoolName

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from platform_iac.fabric.model import Fabric
    from platform_iac.plan.model import Host
    from platform_iac.spec.hardware import Hardware
    from platform_iac.spec.model import Platform

NAMES = {"infiniband": "InfiniBand", "ethernet": "Ethernet"}


class Tree(Model):
    """Leaves, spines and cores of identical switches. A fabric kind's `Spec` begins with this."""

    rails: Annotated[int, Field(ge=1, le=64)] | None = setting(
        None, impact="replace", description="Ports of a node on the fabric; left out, those of the pools' hardware."
    )
    radix: Annotated[int, Field(ge=1, le=LARGEST_RADIX)] = setting(
        64, impact="replace", description="Ports of a switch."
    )
    unit: Annotated[int, Field(ge=1, le=LARGEST_UNIT)] | None = setting(
        None,
        impact="replace",
        description="Node slots of a scalable unit, for which leaves are built; left out, as many as fill a leaf.",
    )
    tiers: Literal["auto", 2, 3] = setting(
        "auto", impact="replace", description="Tiers of switches; `auto` takes three where two do not carry the nodes."
    )
    blocking: Annotated[float, Field(ge=1, le=LARGEST_BLOCKING)] = setting(
        1, impact="replace", description="Ports down to ports up of a leaf: 1 carries everything, 3 a third of it."
    )
    design: Design = setting(
        "rail-optimised",
        impact="replace",
        description="Rail i of a unit's nodes on its leaf i, or (`fat-tree`) all rails of a node on one leaf.",
    )
    layout: Hall | None = setting(
        None, impact="none", description="The hall, for racks and lengths of cables; left out, a regular one."
    )
    pools: tuple[PoolName, ...] = setting(
        (),
        impact="drain",
        description="Pools on the fabric, in order; left out, those for jobs whose hardware has ports of this kind.",
    )


@dataclass(frozen=True, slots=True)
class _Ports:
    """The fabric's ports of one kind of machine, in rail order."""

    devices: tuple[str, ...]
    rate_gbps: int


def wire(
    kind: str,
    spec: Tree,
    platform: Platform,
    hosts: tuple[Host, ...],
    *,
    manager_cables: int | None = 0,
    guids: Mapping[str, tuple[str, ...]] | None = None,
    switch_guids: Mapping[str, str] | None = None,
) -> Fabric:
    """Return the fabric between the hosts of the spec's pools, and the managers where it has cables for them.

    `manager_cables` None is one for each port of the hosts with `duty: manager`, 4 at most; without such
    hosts 4. GUIDs of simulated hardware are derived from names; others are those given, or empty.

    Raises:
        PlanError: it cannot be cabled; with the nearest that can.
    """
    if manager_cables != 0 and (own := [pool for pool in spec.pools if platform.pools[pool].duty == "manager"]):
        raise PlanError(f"fabric: managers have their cables already — take `{own[0]}` out of `pools`")
    nodes = _nodes(kind, spec, platform, hosts)
    given = guids or {}
    managers = _managers(kind, hosts) if manager_cables != 0 else []
    ports = sum(len(ports.devices) for _, ports in managers)
    wish = Wish(
        rails=_rails(spec, platform, nodes),
        radix=spec.radix,
        unit=spec.unit or 0,
        tiers=0 if spec.tiers == "auto" else spec.tiers,
        blocking=nearest.read(spec.blocking),
        design=spec.design,
        manager_cables=(min(ports, 4) if managers else 4) if manager_cables is None else manager_cables,
    )
    try:
        wired = tree.plan(
            kind,
            wish,
            [_end(host, ports, wish.rails, given) for host, ports in nodes],
            [_end(host, ports, len(ports.devices), given) for host, ports in managers],
            switch_guids=switch_guids,
        )
    except FabricError as error:
        raise PlanError(f"fabric: {error}") from error
    wired = _placed(spec, replace(wired, notes=(*wired.notes, *_spare(nodes, wish.rails))))
    return _identified(wired) if simulated(platform, [host for host, _ in nodes]) else wired


def _placed(spec: Tree, wired: Fabric) -> Fabric:
    """Give everything its rack, where the spec has a hall."""
    if spec.layout is None:
        return wired
    try:
        return racks.place(wired, spec.layout.layout())
    except LayoutError as error:
        raise PlanError(f"fabric.layout: {error}") from error


def _nodes(kind: str, spec: Tree, platform: Platform, hosts: Iterable[Host]) -> list[tuple[Host, _Ports]]:
    chosen = spec.pools or tuple(
        name
        for name, pool in platform.pools.items()
        if pool.duty == "compute" and pool.resolved_hardware().ports(kind, "compute")
    )
    if not chosen:
        raise PlanError(
            f"fabric: no pool with `duty: compute` has {NAMES[kind]} ports for jobs — add one, with hardware "
            "such as dgx-h100, or take `fabric` out"
        )
    ports = {name: _ports(kind, name, platform.pools[name].resolved_hardware()) for name in dict.fromkeys(chosen)}
    by_pool: dict[str, list[Host]] = {name: [] for name in ports}
    for host in hosts:
        if host.pool in by_pool:
            by_pool[host.pool].append(host)
    return [(host, ports[pool]) for pool, members in by_pool.items() for host in members]


def _ports(kind: str, pool: str, hardware: Hardware) -> _Ports:
    """The ports for jobs; for storage where the hardware has none for jobs."""
    for purpose in ("compute", "storage"):
        if devices := hardware.ports(kind, purpose):
            return _Ports(devices, _rate(kind, purpose, hardware))
    raise PlanError(
        f"fabric: pool `{pool}` has no {NAMES[kind]} ports for jobs or storage — "
        "give it other hardware, or take it out of the fabric's `pools`"
    )


def _rate(kind: str, purpose: str, hardware: Hardware) -> int:
    return min(nics.rate_gbps for nics in hardware.nics if (nics.kind, nics.purpose) == (kind, purpose))


def _managers(kind: str, hosts: Iterable[Host]) -> list[tuple[Host, _Ports]]:
    found = []
    for host in hosts:
        if host.duty != "manager":
            continue
        nics = [nics for nics in host.hardware.nics if nics.kind == kind]
        if not nics:
            raise PlanError(
                f"fabric: `{host.name}` is to manage it and has no {NAMES[kind]} port — "
                f"give pool `{host.pool}` hardware with `nics` of `kind: {kind}`"
            )
        devices = tuple(name for one in nics for name in one.names)
        found.append((host, _Ports(devices, min(one.rate_gbps for one in nics))))
    return found


def _rails(spec: Tree, platform: Platform, nodes: list[tuple[Host, _Ports]]) -> int:
    """Rails of the spec, or the ports of the pools' hardware. Compute hosts must have as many or more.

    Storage hosts may have fewer: they share a node slot.
    """
    counts = {host.pool: len(ports.devices) for host, ports in nodes}
    rails = spec.rails or max(counts.values())
    computing = {pool: count for pool, count in counts.items() if platform.pools[pool].duty == "compute"}
    fewest = min(computing.values(), default=rails)
    for pool, count in computing.items():
        if count < rails:
            raise PlanError(
                f"fabric: hosts of pool `{pool}` have {count} ports, the fabric {rails} rails — "
                f"take `rails: {fewest}`, other hardware, or leave the pool out of the fabric's `pools`"
            )
    return rails


def _spare(nodes: list[tuple[Host, _Ports]], rails: int) -> tuple[str, ...]:
    """Say which pools have ports that no rail takes."""
    counts = {host.pool: len(ports.devices) for host, ports in nodes}
    return tuple(
        f"hosts of pool `{pool}` have {count} ports: the last {count - rails} of them are on no rail"
        for pool, count in counts.items()
        if count > rails
    )


def _end(host: Host, ports: _Ports, most: int, guids: Mapping[str, tuple[str, ...]]) -> End:
    """The first `most` ports of a host."""
    devices, own = ports.devices[:most], guids.get(host.name, ())
    if own and len(own) != len(devices):
        raise PlanError(
            f"fabric.guids.{host.name}: {len(own)} GUIDs for {len(devices)} ports — give one for each, in rail order"
        )
    return End(host=host.name, devices=devices, rate_gbps=ports.rate_gbps, guids=own)


def simulated(platform: Platform, hosts: Iterable[Host]) -> bool:
    """Return whether all these hosts are at sites whose devices are doubles (`gpus: simulated`)."""
    sites = {host.site for host in hosts}
    return all(getattr(platform.sites.get(site), "gpus", "") == "simulated" for site in sites)


def _identified(wired: Fabric) -> Fabric:
    """Give everything without a GUID one that is derived from its name."""
    return replace(
        wired,
        switches=tuple(replace(one, guid=one.guid or placeholder(one.name)) for one in wired.switches),
        adapters=tuple(replace(one, guid=one.guid or placeholder(one.name)) for one in wired.adapters),
    )
