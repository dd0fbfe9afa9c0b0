"""The double of the fabric on a twin: ibsim on the mirror plays the plan, and hosts' programs are led to it."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Final

from platform_iac.fabric import ibnet
from platform_iac.kinds.fabric import _tree
from platform_iac.plan.model import File, Run, Unit
from platform_iac.plan.render import render

if TYPE_CHECKING:
    from platform_iac.fabric.model import Fabric
    from platform_iac.plan.context import Context
    from platform_iac.plan.model import Host

ROLE: Final = "fabric_simulator"
LIBEXEC: Final = "/usr/local/libexec/platform-iac"
PROGRAM: Final = f"{LIBEXEC}/simulated-adapter"
PACKAGE: Final = "libumad2sim0"
NET: Final = "/etc/platform-iac/fabric.net"
SERVER_PORTS: Final = {"port": 7069, "packets": 7070}
TOOLS: Final = (
    *("dump_fts", "ibhosts", "iblinkinfo", "ibnetdiscover", "ibportstate", "ibroute", "ibstat", "ibswitches"),
    *("perfquery", "saquery", "sminfo", "smpquery"),
)
"""Tools of infiniband-diags that find the simulated adapters under their own names."""
NODES, SWITCHES, PORTS = 2048, 256, 13312
"""What ibsim 0.10 has room for unless it is told."""


def mirror(context: Context, fabric: Fabric) -> Host | None:
    """The host that plays the fabric: the mirror of a twin; None where devices are real or there is no mirror."""
    if not doubles(context, fabric):
        return None
    sites = {host.site for host in _hosts(context, fabric)}
    return next((host for host in context.with_duty("mirror") if host.site in sites), None)


def doubles(context: Context, fabric: Fabric) -> bool:
    """Whether the devices of all hosts on the fabric are doubles."""
    return _tree.simulated(context.spec, _hosts(context, fabric))


def _hosts(context: Context, fabric: Fabric) -> list[Host]:
    own = {adapter.host for adapter in fabric.adapters}
    return [host for host in context.hosts if host.name in own]


def run(server: Host, fabric: Fabric) -> Run:
    """Return the run of the simulator."""
    ports = sum(switch.ports + 1 for switch in fabric.switches) + len(fabric.adapters)
    nodes = len(fabric.switches) + len(fabric.adapters)
    limits = f"-N {max(NODES, nodes + 1)} -S {max(SWITCHES, len(fabric.switches) + 1)} -P {max(PORTS, ports + 1)}"
    program, unit = f"{LIBEXEC}/fabric-simulator", "/etc/systemd/system/fabric-simulator.service"
    text = render(ROLE, "fabric-simulator.service.j2", program=program, net=NET, limits=limits)
    return Run(
        name=ROLE,
        role=ROLE,
        hosts=(server.name,),
        packages=("ibsim-utils",),
        files=(
            File(path=NET, content=ibnet.write(fabric, divisor=ibnet.slowdown(fabric))),
            File(path=unit, content=text),
            File(path=program, content=render(ROLE, "fabric-simulator"), mode="0755"),
        ),
        units=(Unit(name="fabric-simulator.service", restart_on=(NET, unit, program)),),
        needs=("base",),
    )


def files() -> tuple[File, ...]:
    """Return what every host with simulated adapters has."""
    tools = (File(path=f"/usr/local/sbin/{tool}", content=_wrapper(tool), mode="0755") for tool in TOOLS)
    return (*tools, File(path=PROGRAM, content=render(ROLE, "simulated-adapter"), mode="0755"))


def inventory(server: Host, fabric: Fabric, host: str) -> File:
    """Return a host's own file: where the simulator is, and which of its adapters are the host's."""
    adapters = {one.device: ibnet.node_id(one) for one in fabric.adapters if one.host == host}
    content = {"server": {"host": server.name, "address": server.address, **SERVER_PORTS}, "adapters": adapters}
    return File(path="/etc/platform-iac/adapters.json", content=json.dumps(content, indent=1) + "\n")


def _wrapper(tool: str) -> str:
    return f'#!/bin/sh\nexec {PROGRAM} /usr/sbin/{tool} "$@"\n'
