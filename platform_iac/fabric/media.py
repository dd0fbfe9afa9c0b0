"""Which cable joins two ports: by rate and distance, in lengths that are sold.

Reaches and lengths are NVIDIA's:
- 400 Gb/s: "LinkX User Guide for 400Gbps 100G-PAM4", product line overview (copper 3 m, active copper to 5 m,
  multimode 50 m), and MMS4X00-NM, application overview (single mode 500 m between switches, 100 m to an adapter);
- 800 Gb/s: "Interconnect Structured Cabling Requirements for InfiniBand NDR/XDR and 400/800G Ethernet"
  (single mode 500 m, no multimode);
- 200 Gb/s and less: "Cable Management Guidelines and FAQ" (copper 2 to 5 m by rate, active optical 3 to 100 m)
  and the ordering tables of MCP1650 and MFS1S50.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final


class ReachError(ValueError):
    """No cable of this rate reaches that far. Says how far one would."""


@dataclass(frozen=True, slots=True)
class Medium:
    """One sort of cable. `lengths_m` are those that are sold; the last is as far as it reaches."""

    name: str
    lengths_m: tuple[float, ...]
    to_switch_only_beyond_m: float = float("inf")
    """Beyond this it joins only switches."""


MULTIMODE: Final = Medium("MPO multimode", (3, 5, 7, 10, 15, 20, 25, 30, 35, 40, 50))
SINGLE_MODE: Final = Medium(
    "MPO single mode", (3, 5, 10, 15, 20, 30, 40, 50, 60, 70, 100, 150, 200, 300, 400, 500), 100
)
AOC: Final = Medium("AOC", (3, 5, 10, 15, 20, 30, 50, 100))

MEDIA: Final[tuple[tuple[int, tuple[Medium, ...]], ...]] = (
    (100, (Medium("DAC", (0.5, 1, 1.5, 2, 2.5, 3, 4, 5)), AOC)),
    (200, (Medium("DAC", (0.5, 1, 1.5, 2)), AOC)),
    (400, (Medium("DAC", (0.5, 1, 1.5, 2, 2.5, 3)), Medium("ACC", (4, 5)), MULTIMODE, SINGLE_MODE)),
    (800, (SINGLE_MODE,)),
)
"""The cheapest that reaches comes first, under the highest rate in Gb/s that it carries."""


def choose(rate_gbps: int, distance_m: float, *, between_switches: bool) -> tuple[str, float]:
    """Return the cheapest medium for a distance and the length to buy, in metres.

    Raises:
        ReachError: nothing reaches that far at this rate.
    """
    media = next((found for limit, found in MEDIA if rate_gbps <= limit), MEDIA[-1][1])
    farthest = 0.0
    for medium in media:
        for length in medium.lengths_m:
            if not between_switches and length > medium.to_switch_only_beyond_m:
                break
            farthest = max(farthest, length)
            if length >= distance_m:
                return medium.name, length
    raise ReachError(f"{distance_m:.1f} m at {rate_gbps} Gb/s — the longest cable has {farthest:g} m")
