"""A fabric as labels of Kubernetes nodes, for schedulers that place pods by network distance."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from platform_iac.fabric.hierarchy import TOP, places

if TYPE_CHECKING:
    from platform_iac.fabric.hierarchy import Place
    from platform_iac.fabric.model import Fabric

NETWORK: Final = "network.topology.nvidia.com"
"""Prefix of the keys that NVIDIA's topograph writes for switches of the first, second and third tier
(topograph, "Node labels and annotations"). Its fourth, `accelerator`, is the NVLink domain: the GPU operator's."""

PLACE: Final = "topology.platform-iac"
"""Prefix of ours for what topograph has no key for: scalable unit and rack. Kueue takes any key as a level."""

HOSTNAME: Final = "kubernetes.io/hostname"


def labels(fabric: Fabric) -> dict[str, dict[str, str]]:
    """Return label and value of every host, by host, in the order of the fabric."""
    return {place.host: _of(place, fabric.tiers) for place in places(fabric)}


def levels(fabric: Fabric) -> tuple[str, ...]:
    """Return the keys from coarse to fine, as `spec.levels` of Kueue's `Topology` takes them.

    A rack is no level: rails of one unit may span racks, and a rack may hold two units.
    """
    tiers = ("core", "spine", "leaf") if fabric.tiers > 2 else ("spine", "leaf")
    return (*(f"{NETWORK}/{tier}" for tier in tiers), HOSTNAME)


def _of(place: Place, tiers: int) -> dict[str, str]:
    above = {"spine": place.pod, "core": TOP} if tiers > 2 else {"spine": TOP}
    found = {f"{NETWORK}/{tier}": name for tier, name in {"leaf": place.leaf, **above}.items()}
    found[f"{PLACE}/unit"] = place.unit
    if place.rack:
        found[f"{PLACE}/rack"] = place.rack
    return dict(sorted(found.items()))
