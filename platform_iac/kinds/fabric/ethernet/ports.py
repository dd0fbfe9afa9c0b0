"""What the ends of cables are called where they are: interfaces of Linux on hosts, ports of SONiC on switches."""

from __future__ import annotations

from typing import TYPE_CHECKING

from platform_iac.kinds.fabric.ethernet import sonic

if TYPE_CHECKING:
    from platform_iac.fabric.model import Fabric
    from platform_iac.kinds.fabric.ethernet.spec import Spec
    from platform_iac.plan.context import Context
    from platform_iac.spec.hardware import Hardware


def names(spec: Spec, fabric: Fabric, context: Context) -> dict[tuple[str, int], str]:
    """Return the name of every port with a cable, by its end and number in the plan.

    A host whose hardware has no `interfaces` is left out: only it knows what its ports are called.
    """
    width = sonic.lanes(spec, fabric)
    switches = {switch.name for switch in fabric.switches}
    links = {host.name: _links(host.hardware) for host in context.hosts}
    adapters = {
        adapter.name: links[adapter.host][adapter.device]
        for adapter in fabric.adapters
        if adapter.device in links.get(adapter.host, {})
    }
    ends = [end for cable in fabric.cables for end in ((cable.a, cable.a_port), (cable.b, cable.b_port))]
    return {
        (name, port): sonic.port_name(port, width) if name in switches else adapters[name]
        for name, port in ends
        if name in switches or name in adapters
    }


def _links(hardware: Hardware) -> dict[str, str]:
    """Interfaces of a machine's Ethernet ports by their RDMA devices."""
    named = [nics for nics in hardware.nics if nics.kind == "ethernet" and nics.links]
    return {device: link for nics in named for device, link in zip(nics.names, nics.links, strict=True)}
