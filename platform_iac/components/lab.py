"""A lab site: its mirror's content, its network and its machines."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pulumi

from platform_iac.components.reach import Reach
from platform_iac.components.resources import Machine, Mirror, Network
from platform_iac.lab.paths import lab_of

if TYPE_CHECKING:
    from typing import Any

    from platform_iac.plan.model import Host, Plan, Site

MIRROR_ROOT = "/srv/mirror"


class Lab(pulumi.ComponentResource):
    """The machines of one `kind: lab` site, ready to be logged in to."""

    def __init__(self, site: Site, plan: Plan, opts: pulumi.ResourceOptions | None = None) -> None:
        name = lab_of(plan.name, site.name)
        super().__init__("platform:index:Lab", name, None, opts)
        child = pulumi.ResourceOptions(parent=self)
        hosts = [host for host in plan.hosts if host.site == site.name]
        ports = {endpoint.name: f"{endpoint.host}:{endpoint.port}" for endpoint in plan.endpoints}
        forwards = {str(port): ports[endpoint] for endpoint, port in site.settings["forwards"].items()}
        network = Network(
            name,
            {
                "lab": name,
                "cidr": site.settings["network"],
                "domain": site.settings["domain"],
                "hosts": {host.name: host.address for host in hosts},
                "forwards": forwards,
            },
            opts=child,
        )
        inside = pulumi.ResourceOptions(parent=self, depends_on=[network])
        mirror = Mirror(name, {"lab": name, "packages": list(plan.packages), "pip": list(plan.pip)}, opts=inside)
        machines = {
            host.name: Machine(
                f"{name}-{host.name}",
                {
                    "lab": name,
                    "name": host.name,
                    "address": host.address,
                    "cidr": site.settings["network"],
                    "domain": site.settings["domain"],
                    "binds": {MIRROR_ROOT: mirror.path} if host.duty == "mirror" else {},
                    **body(site, host),
                },
                opts=inside,
            )
            for host in hosts
        }
        self.reach = Reach(
            ssh_config=network.sshConfig,
            host_keys={host: machine.hostKey for host, machine in machines.items()},
            instances={host: machine.instance for host, machine in machines.items()},
            deleted_with=network,
        )
        self.register_outputs({"machines": len(machines)})


def body(site: Site, host: Host) -> dict[str, Any]:
    """What a machine's inputs say of a guest: its memory and drives. Nothing for an ordinary machine."""
    guests = site.settings["guests"]
    if guests is None or host.pool not in guests["pools"]:
        return {}
    drives = [guests["drive_mib"]] * host.hardware.data_drives
    return {"guest": {"memoryMib": guests["memory_mib"], "drivesMib": drives}}
