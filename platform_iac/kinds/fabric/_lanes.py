"""Virtual lanes of an InfiniBand fabric: every service level of a partition has one, with its share of a link."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterable

    from platform_iac.kinds.fabric._partitions import Partition

COUNTS: Final = (1, 2, 4, 8, 15)
"""Numbers of data lanes that ports can have (IBA 1.3, PortInfo.VLCap)."""
LEVELS: Final = 16
ORDINARY: Final = 32
"""Weight of level 0 where no partition says one."""


def options(partitions: Iterable[Partition]) -> dict[str, str]:
    """Return opensm's options by name. A level that no partition has shares the lane of level 0.

    The table of high priority is empty: a lane in it would go before the others whatever their weights are.
    """
    weights = {0: 0}
    for partition in partitions:
        weights[partition.sl] = max(weights.get(partition.sl, 0), partition.weight)
    weights[0] = weights[0] or ORDINARY
    lanes = {level: lane for lane, level in enumerate(sorted(weights))}
    return {
        "qos_max_vls": str(next(count for count in COUNTS if count >= len(lanes))),
        "qos_high_limit": "0",
        "qos_vlarb_high": "0:0",
        "qos_vlarb_low": ",".join(f"{lane}:{weights[level]}" for level, lane in lanes.items()),
        "qos_sl2vl": ",".join(str(lanes.get(level, 0)) for level in range(LEVELS)),
    }
