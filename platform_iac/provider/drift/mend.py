"""What an `up` starts again because a refresh found that it runs with other settings than its files have.

The role writes files and starts units; a unit that runs, with files that are right, it would leave alone.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from platform_iac.provider.drift import derive

SYSCTL = "systemd-sysctl.service"


def units(outputs: Mapping[str, Any], inputs: Mapping[str, Any], host: str) -> tuple[str, ...]:
    """Return the units that bring settings and mounts of one host back to their files, by what was found there."""
    things = (outputs.get("drift") or {}).get(host) or {}
    mounts = {f"mount {path}": about["unit"] for path, about in derive.mounts(inputs, host).items()}
    found = {mounts[thing] for thing in things if mounts.get(thing)}
    return tuple(sorted(found | ({SYSCTL} if any(thing.startswith("setting ") for thing in things) else set())))
