"""A host whose jobs use InfiniBand: names of its devices, what NCCL reads, GPUDirect, and IP over its partitions."""

from __future__ import annotations

import re
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network
from typing import TYPE_CHECKING, Final

from platform_iac.kinds.fabric import _partitions, _simulated
from platform_iac.plan.context import PlanError
from platform_iac.plan.model import Check, File, Run, Unit
from platform_iac.plan.render import render

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from platform_iac.fabric.model import Adapter, Fabric
    from platform_iac.kinds.fabric._partitions import Partition
    from platform_iac.plan.context import Context

ROLE: Final = "infiniband_node"
PACKAGES: Final = ("ibverbs-providers", "ibverbs-utils", "infiniband-diags", "rdma-core")
"""The adapters' side of verbs, which NCCL loads; the tools that tell what is on the fabric; and the kernel's modules
and `rdma-ndd`, which says a host's name to the fabric as soon as there is an adapter."""
NAMING: Final = "/etc/udev/rules.d/60-rdma-persistent-naming.rules"
MODULES: Final = "/etc/modules-load.d/platform-infiniband.conf"
PEER: Final = "nvidia-peermem"
"""The module by which adapters reach GPU memory (NVIDIA, GPUDirect RDMA); it comes with the driver."""
ENCAPSULATION: Final = 4
"""Bytes of a datagram's MTU that IPoIB itself takes (RFC 4391, 7)."""
LIST, UNIT = "/etc/platform-iac/ipoib", "ipoib.service"
PROGRAM: Final = f"{_simulated.LIBEXEC}/ipoib"


def run(
    partitions: Mapping[str, Partition], context: Context, fabric: Fabric, told: Mapping[str, tuple[File, ...]]
) -> Run:
    """Return the run `infiniband_node` on every host whose adapters are rails; `told` is what NCCL reads there.

    Raises:
        PlanError: a partition's IP network has no room for a host, or is another's.
    """
    real = not _simulated.doubles(context, fabric)
    files = [naming()]
    own = {host: list(conf) for host, conf in told.items()}
    units: tuple[Unit, ...] = ()
    if any(partition.network for partition in partitions.values()):
        unit = f"/etc/systemd/system/{UNIT}"
        files += [
            File(path=PROGRAM, content=render(ROLE, "ipoib"), mode="0755"),
            File(path=unit, content=render(ROLE, "ipoib.service.j2", program=PROGRAM)),
        ]
        # A twin's kernel has no InfiniBand that could carry IP.
        units = (Unit(name=UNIT, running=real, restart_on=(unit,), reload_on=(LIST, PROGRAM)),)
        for host, found in interfaces(partitions, context, fabric).items():
            own[host].append(File(path=LIST, content="".join(f"{interface.line}\n" for interface in found)))
    with_gpus = {host.name for host in context.hosts if host.hardware.gpu_count and host.name in own} if real else set()
    peer, alike = File(path=MODULES, content=f"{PEER}\n"), with_gpus == own.keys()
    if alike:
        files.append(peer)
    else:
        own |= {host: [*found, peer] for host, found in own.items() if host in with_gpus}
    return Run(
        name=ROLE,
        role=ROLE,
        hosts=tuple(own),
        packages=PACKAGES,
        files=tuple(sorted(files, key=lambda file: file.path)),
        host_files={host: tuple(sorted(found, key=lambda file: file.path)) for host, found in own.items()},
        units=units,
        vars={"modules": [PEER]} if alike else {},
        host_vars={host: {"modules": [PEER]} for host in own if host in with_gpus and not alike},
        needs=("base",),
        after=("gpu",),
    )


def naming() -> File:
    """Return the rule that leaves adapters the kernel's names, which NCCL is told; any package may bring Debian's."""
    return File(path=NAMING, content=render(ROLE, "persistent-naming.rules"))


@dataclass(frozen=True, slots=True)
class Interface:
    """IP over one partition on the first port of a host. `address` has its length."""

    name: str
    device: str
    pkey: int
    mtu: int
    address: str

    @property
    def line(self) -> str:
        """What the program `ipoib` reads: name, device, key with the bit of a full member, MTU, address."""
        return f"{self.name} {self.device} 0x{self.pkey | _partitions.FULL:04x} {self.mtu} {self.address}"


def interfaces(
    partitions: Mapping[str, Partition], context: Context, fabric: Fabric
) -> dict[str, tuple[Interface, ...]]:
    """Return the interfaces of every host with rails: one for each of its partitions that has an IP network.

    Host n of its site's network is host n of the partition's: an address never changes because another host came.

    Raises:
        PlanError: the network has no room for a host, or is another's.
    """
    found: dict[str, list[Interface]] = {port.host: [] for port in fabric.adapters if port.rail}
    for name, partition in sorted(partitions.items()):
        if not partition.network:
            continue
        network = _network(name, partition, partitions, context)
        ports: dict[str, Adapter] = {}
        for port in _partitions.members(partition, fabric, context):
            if port.rail:
                ports.setdefault(port.host, port)
        taken: dict[IPv4Address, str] = {}
        for host, port in ports.items():
            address = _address(name, network, host, context)
            if (other := taken.setdefault(address, host)) != host:
                raise PlanError(f"fabric.partitions.{name}.network: {other} and {host} are both host {address} of it")
            found[host].append(
                Interface(
                    name=f"ib-{partition.pkey:04x}",
                    device=port.device,
                    pkey=partition.pkey,
                    mtu=partition.mtu - ENCAPSULATION,
                    address=f"{address}/{network.prefixlen}",
                )
            )
    return {host: tuple(own) for host, own in found.items()}


def _network(name: str, partition: Partition, partitions: Mapping[str, Partition], context: Context) -> IPv4Network:
    network = IPv4Network(partition.network or "")
    others = {f"partition `{key}`": other.network for key, other in partitions.items() if key != name}
    others |= {f"site `{key}`": site.network for key, site in context.spec.sites.items()}
    for what, other in others.items():
        if other and network.overlaps(IPv4Network(other)):
            raise PlanError(f"fabric.partitions.{name}.network: {network} overlaps {other} of {what} — take another")
    return network


def _address(name: str, network: IPv4Network, host: str, context: Context) -> IPv4Address:
    where = next(one for one in context.hosts if one.name == host)
    site = IPv4Network(context.spec.sites[where.site].network)
    number = int(IPv4Address(where.address)) - int(site.network_address)
    if not 0 < number < network.num_addresses - 1:
        raise PlanError(
            f"fabric.partitions.{name}.network: {host} is host {number} of its site, and {network} has no such host — "
            f"take a /{site.prefixlen}"
        )
    return network[number]


def checks(partitions: Mapping[str, Partition], context: Context, fabric: Fabric) -> Iterator[Check]:
    """Yield what proves, on real adapters, that they carry IP. A twin has none."""
    if _simulated.doubles(context, fabric):
        return
    for host, found in interfaces(partitions, context, fabric).items():
        if found:
            lines = "".join(f"{interface.line}\n" for interface in found)
            yield Check(
                name=f"{host} has its addresses on the fabric",
                host=host,
                argv=(PROGRAM, "show"),
                expect=rf"\A{re.escape(lines)}\Z",
            )
