"""The hosts' side: every rail's address, MTU, priorities and PFC, by a program that touches no other interface.

Management keeps whatever manages it: nothing here reloads networkd, ifupdown or NetworkManager. PFC, ETS and the map
from DSCP to priority are set by iproute2's `dcb` (dcb-pfc(8), dcb-ets(8), dcb-app(8)); mlx5 trusts DSCP as soon as it
has such a map (Linux, mlx5/core/en_dcbnl.c). The class of RDMA CM's connections is that of configfs
(Linux, Documentation/ABI/testing/configfs-rdma_cm), that of notifications is the driver's (mlx5 `cc_params`,
MLNX_OFED "Explicit Congestion Notification").
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from platform_iac.kinds.fabric import _node, _simulated
from platform_iac.kinds.fabric._simulated import LIBEXEC
from platform_iac.plan.context import PlanError
from platform_iac.plan.model import Check, File, Run, Unit
from platform_iac.plan.render import render

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from platform_iac.fabric.model import Fabric
    from platform_iac.kinds.fabric.ethernet.addresses import Addresses
    from platform_iac.kinds.fabric.ethernet.spec import Spec
    from platform_iac.plan.context import Context
    from platform_iac.plan.model import Host

ROLE: Final = "ethernet_node"
PACKAGES: Final = ("ibverbs-providers", "ibverbs-utils")
"""The adapters' side of verbs, which NCCL loads. `dcb` is iproute2's, which every Debian has."""

RAILS, SETTINGS = "/etc/platform-iac/rails", "/etc/platform-iac/ethernet.conf"
PROGRAM: Final = f"{LIBEXEC}/ethernet-rails"
UNIT: Final = "ethernet-rails.service"
DOUBLES: Final = f"{LIBEXEC}/simulated-rails"
DCB_DOUBLE: Final = f"{LIBEXEC}/simulated-dcb"
DOUBLES_UNIT: Final = "simulated-rails.service"
FIRST_TABLE: Final = 4900
"""Rail i has routing table and rule 4900 + i, which nothing of Debian uses."""


@dataclass(frozen=True, slots=True)
class Rail:
    """One port of a host for jobs. `address` has its length, `gateway` is the leaf's end of the cable."""

    number: int
    interface: str
    device: str
    address: str
    gateway: str


def run(
    spec: Spec, context: Context, fabric: Fabric, addresses: Addresses, told: Mapping[str, tuple[File, ...]]
) -> Run:
    """Return the run `ethernet_node` on every host whose ports are rails; `told` is what NCCL reads there.

    Raises:
        PlanError: a port has no interface, or shares one with the host's management.
    """
    simulated = _simulated.doubles(context, fabric)
    values = {"simulated": simulated, "program": PROGRAM, "doubles": DOUBLES_UNIT}
    unit = f"/etc/systemd/system/{UNIT}"
    lossless = spec.lossless
    settings = render(
        ROLE, "ethernet.conf.j2", spec=spec, lossless=lossless, dcb=DCB_DOUBLE if simulated else "/usr/sbin/dcb"
    )
    files = [
        _node.naming(),
        File(path=SETTINGS, content=settings),
        File(path=PROGRAM, content=render(ROLE, "ethernet-rails"), mode="0755"),
        File(path=unit, content=render(ROLE, "ethernet-rails.service.j2", **values)),
    ]
    units = [Unit(name=UNIT, restart_on=(unit,), reload_on=(RAILS, SETTINGS, PROGRAM))]
    if simulated:
        double = f"/etc/systemd/system/{DOUBLES_UNIT}"
        files += [
            File(path=DCB_DOUBLE, content=render(ROLE, "simulated-dcb"), mode="0755"),
            File(path=DOUBLES, content=render(ROLE, "simulated-rails"), mode="0755"),
            File(path=double, content=render(ROLE, "simulated-rails.service.j2", program=DOUBLES)),
        ]
        units.insert(0, Unit(name=DOUBLES_UNIT, restart_on=(double,), reload_on=(RAILS, DOUBLES)))
    planned = rails(context, fabric, addresses)
    own = {
        host: tuple(sorted((File(path=RAILS, content=_lines(found)), *told[host]), key=lambda file: file.path))
        for host, found in planned.items()
    }
    return Run(
        name=ROLE,
        role=ROLE,
        hosts=tuple(own),
        packages=PACKAGES,
        files=tuple(sorted(files, key=lambda file: file.path)),
        host_files=own,
        units=tuple(units),
        vars={"program": PROGRAM},
        host_vars={host: {"rails": len(found)} for host, found in planned.items()},
        needs=("base",),
    )


def rails(context: Context, fabric: Fabric, addresses: Addresses) -> dict[str, list[Rail]]:
    """Return the rails of every host on the fabric, in rail order.

    Raises:
        PlanError: a port has no interface, or shares one with the host's management.
    """
    hosts = {host.name: host for host in context.hosts}
    adapters = {adapter.name: adapter for adapter in fabric.adapters}
    interfaces = {host: _interfaces(hosts[host]) for host in dict.fromkeys(one.host for one in fabric.adapters)}
    found: dict[str, list[Rail]] = {}
    for cable in fabric.of_layer("node_leaf"):
        adapter, link = adapters[cable.a], addresses.link(cable)
        interface = interfaces[adapter.host][adapter.device]
        found.setdefault(adapter.host, []).append(
            Rail(adapter.rail, interface, adapter.device, f"{link.a}/31", str(link.b))
        )
    return {host: sorted(own, key=lambda rail: rail.number) for host, own in found.items()}


def _interfaces(host: Host) -> dict[str, str]:
    """The interface of every Ethernet port for jobs or storage, by its RDMA device."""
    found: dict[str, str] = {}
    kept: set[str] = set()
    for nics in host.hardware.nics:
        if nics.kind != "ethernet":
            continue
        if nics.purpose == "management":
            kept.update(nics.links or nics.names)
        elif nics.dpu == "dpu":
            raise PlanError(
                f"fabric: the {nics.purpose} ports of pool `{host.pool}` belong to their BlueField cards, which set "
                "their priorities then — say `dpu: nic`"
            )
        elif nics.links:
            found.update(zip(nics.names, nics.links, strict=True))
        else:
            raise PlanError(
                f"fabric: pool `{host.pool}` does not say which interfaces its {nics.purpose} ports {nics.devices} "
                "are — add `interfaces` to these `nics`, as `ip link` shows them"
            )
    if shared := kept & set(found.values()):
        raise PlanError(
            f"fabric: interface `{min(shared)}` of pool `{host.pool}` is for jobs and for management — "
            "the fabric would take the host's management away; give jobs ports of their own"
        )
    return found


def _lines(found: list[Rail]) -> str:
    return "".join(
        f"{rail.interface} {rail.device} {rail.address} {rail.gateway} {FIRST_TABLE + rail.number}\n" for rail in found
    )


def checks(spec: Spec, context: Context, fabric: Fabric, addresses: Addresses) -> Iterator[Check]:
    """Yield the proof: what each interface really has, and, on real adapters, that RDMA and GIDs are its own."""
    simulated, lossless = _simulated.doubles(context, fabric), spec.lossless
    classes = sorted(((lossless.dscp, lossless.priority), (lossless.cnp_dscp, lossless.cnp_priority)))
    quality = f"pfc {lossless.priority} dscp {' '.join(f'{dscp}:{priority}' for dscp, priority in classes)}"
    for host, found in rails(context, fabric, addresses).items():
        lines = "".join(f"{rail.interface} mtu {spec.mtu} {rail.address} {quality}\n" for rail in found)
        yield Check(
            name=f"{len(found)} rails of {host} have their addresses, MTU and PFC",
            host=host,
            argv=(PROGRAM, "show"),
            expect=rf"\A{re.escape(lines)}\Z",
        )
        if not simulated:
            devices = {f"/sys/class/infiniband/{rail.device}": rail.interface for rail in found}
            yield Check(
                name=f"RDMA devices of {host} are those of its rails",
                host=host,
                argv=("ls", "-d", *(f"{device}/device/net/{interface}" for device, interface in devices.items())),
            )
            yield Check(
                name=f"GID {lossless.gid_index} of {host}'s rails is RoCE v2",
                host=host,
                argv=("cat", *(f"{device}/ports/1/gid_attrs/types/{lossless.gid_index}" for device in devices)),
                expect=rf"\A(RoCE v2\n){{{len(found)}}}\Z",
            )
