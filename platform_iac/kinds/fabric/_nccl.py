"""NCCL on hosts of a fabric: which adapters carry jobs' collectives, rail by rail."""

from __future__ import annotations

import re
from types import MappingProxyType
from typing import TYPE_CHECKING, Final

from platform_iac.plan.model import Check, File

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from platform_iac.fabric.model import Adapter, Fabric

PATH: Final = "/etc/nccl.conf"
"""Read by every NCCL program on the host (NCCL, "Environment Variables"); what a job sets itself goes before it."""

PORT: Final = 1
"""Adapters are single-ported, as ibnetdiscover and opensm name them: `mlx5_0:1`."""


NOTHING: Final[Mapping[str, object]] = MappingProxyType({})


def settings(fabric: Fabric, more: Mapping[str, object] = NOTHING) -> dict[str, tuple[File, ...]]:
    """Return /etc/nccl.conf of every host whose adapters are for jobs, by host. Equal hosts share one value.

    `more` are settings that the kind of fabric adds.
    """
    hosts: dict[str, list[Adapter]] = {}
    for adapter in fabric.adapters:
        if adapter.rail:
            hosts.setdefault(adapter.host, []).append(adapter)
    shared: dict[str, tuple[File, ...]] = {}
    crossing = cross_nic(fabric)
    found: dict[str, tuple[File, ...]] = {}
    for host, adapters in hosts.items():
        text = _text(sorted(adapters, key=lambda adapter: adapter.rail), {"NCCL_CROSS_NIC": crossing, **more})
        found[host] = shared.setdefault(text, (File(path=PATH, content=text),))
    return found


def cross_nic(fabric: Fabric) -> int:
    """Return NCCL_CROSS_NIC: 0 stays on a rail, 1 takes any adapter, 2 prefers the rail (NCCL's default).

    NCCL's guide: 0 for a switch per adapter with slow ways between rails, 1 where all adapters of a
    node are on one switch. Rails whose spines carry everything leave it to NCCL.
    """
    if not any(leaf.rail for leaf in fabric.of_tier("leaf")):
        return 1
    return 0 if fabric.blocking > 1 else 2


def checks(files: Mapping[str, tuple[File, ...]]) -> Iterator[Check]:
    """Yield for every host of `settings` the proof that it has them."""
    for host, (conf,) in files.items():
        yield Check(
            name=f"NCCL on {host} is told its adapters",
            host=host,
            argv=("cat", conf.path),
            expect=rf"\A{re.escape(conf.content)}\Z",
        )


def _text(adapters: Iterable[Adapter], more: Mapping[str, object]) -> str:
    devices = ",".join(f"{adapter.device}:{PORT}" for adapter in adapters)
    values: Mapping[str, object] = {
        # The second `=` asks for exactly these: without it mlx5_1 means mlx5_10 too.
        "NCCL_IB_HCA": f"={devices}",
        **more,
    }
    return "".join(f"{name}={value}\n" for name, value in values.items())
