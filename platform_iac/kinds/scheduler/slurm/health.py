"""What a healthy node looks like, from the spec: never from what the node shows today."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Final

from platform_iac.plan.model import File

if TYPE_CHECKING:
    from platform_iac.kinds.scheduler.slurm.nodes import Nodes
    from platform_iac.kinds.scheduler.slurm.spec import Spec
    from platform_iac.kinds.storage._shared import Mount

PATH: Final = "/etc/platform-iac/node-health.json"
WRITTEN: Final = ("/", "/tmp", "/var/lib/slurm/slurmd")  # noqa: S108  looked at, never written
"""File systems that jobs and slurmd write to."""

TWIN_XID_LOG: Final = "/var/log/platform-iac/xid.log"
"""Machines of a twin share one kernel, so its log belongs to none of them."""

XIDS: Final = (48, 74, 79, 95, 109, 119, 120, 140, 143)
"""Xids that ask for a reset of the GPU or a reboot (NVIDIA, "XID errors") take the node out, others are only logged."""


def expectations(spec: Spec, nodes: Nodes, mounts: tuple[Mount, ...], *, simulated: bool) -> File:
    """Return the data of the node's health check, equal on equal nodes; `mounts` are what storage has there."""
    xid_log = spec.health.xid_log or (TWIN_XID_LOG if simulated else None)
    data = {
        "clock": {"max_error_ms": spec.health.max_clock_error_ms},
        "filesystems": {
            "paths": list(WRITTEN),
            "min_free_percent": spec.health.min_free_percent,
        },
        "gpu_max_celsius": spec.health.max_gpu_celsius,
        "gpus": [{"product": gpu.product, "count": gpu.count} for gpu in nodes.hardware.gpus],
        "mounts": [{"path": mount.path, "types": list(mount.types)} for mount in mounts],
        "xid": {"log": xid_log, "reboot": list(XIDS)},
    }
    return File(path=PATH, content=json.dumps(data, indent=1, sort_keys=True) + "\n")
