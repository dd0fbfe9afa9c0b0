"""UFM in the place of our own subnet managers: it owns its files, so it is given what the plan knows as requests.

The requests are those of NVIDIA's "UFM Enterprise REST API Guide", "PKey GUIDs REST API", "Set GUIDs for PKey":
each says all members of a partition, so that sending them twice changes nothing.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Final

from platform_iac.kinds.fabric import _partitions

if TYPE_CHECKING:
    from collections.abc import Mapping

    from platform_iac.fabric.model import Fabric
    from platform_iac.kinds.fabric._partitions import Partition
    from platform_iac.plan.context import Context

FILE: Final = "ufm-partitions.json"
PATH: Final = "/ufmRest/resources/pkeys"


def partitions(planned: Mapping[str, Partition], fabric: Fabric, context: Context) -> str:
    """Return the requests as JSON, one for each partition; members whose GUIDs nothing tells are named as missing."""
    requests = [
        {
            "method": "PUT",
            "path": PATH,
            "partition": name,
            "missing": [port.name for port in ports if not port.guid],
            "body": {
                "pkey": f"0x{partition.pkey:x}",
                "index0": leads,
                "ip_over_ib": partition.ipoib,
                "membership": partition.members,
                "guids": [port.guid for port in ports if port.guid],
            },
        }
        for name, partition, ports, leads in _partitions.led(planned, fabric, context)
    ]
    return json.dumps(requests, indent=1) + "\n"
