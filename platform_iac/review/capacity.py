"""What a platform can carry, counted from its plan."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator

    from platform_iac.review.delta import Json


def capacity(plan: Json) -> dict[str, int]:
    """Return the platform's size by name: hosts, GPUs by model, cores, memory, local data disks, switches, cables."""
    found: dict[str, int] = {}
    for name, count in _counted(plan):
        found[name] = found.get(name, 0) + count
    return found


def _counted(plan: Json) -> Iterator[tuple[str, int]]:
    for host in plan["hosts"]:
        yield "hosts", 1
        hardware: dict[str, Any] = host["hardware"]
        if host["duty"] == "compute":
            yield "compute nodes", 1
            yield "cores of compute nodes", hardware["sockets"] * hardware["cores_per_socket"]
            yield "memory of compute nodes (GiB)", hardware["memory_gib"]
            for item in hardware["accelerators"]:
                yield f"{item['kind'].upper()} {item['model']}", item["count"]
        for disks in hardware["disks"]:
            if disks["purpose"] == "data":
                yield f"{disks['kind']} for data on {host['duty']} hosts (GB)", disks["count"] * disks["size_gb"]
    if fabric := plan.get("fabric"):
        yield "fabric switches", len(fabric["switches"])
        yield "fabric cables", len(fabric["cables"])
