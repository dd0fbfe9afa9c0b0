"""The GPUs of every site's hosts: NVIDIA's driver on hardware, its double on a twin."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any, Protocol
from uuid import NAMESPACE_DNS, uuid5

from platform_iac.plan.context import PlanError
from platform_iac.plan.model import Check, File, Run, Unit
from platform_iac.plan.render import render
from platform_iac.spec.base import Model, setting
from platform_iac.spec.types import Label

if TYPE_CHECKING:
    from collections.abc import Mapping

    from platform_iac.plan.context import Context
    from platform_iac.plan.model import Host

MAJOR = 195
"""Major number of NVIDIA's character devices; 255 is the minor of nvidiactl (Linux devices.txt)."""


class Driver(Model):
    """Which packages bring NVIDIA's driver. They come from the site's own package sources."""

    packages: tuple[Label, ...] = setting(
        ("linux-headers-amd64", "nvidia-driver", "nvidia-persistenced", "nvidia-smi"),
        impact="drain",
        description="Driver, tools and the persistence daemon; the default is Debian's own driver (non-free).",
    )
    fabric_manager: tuple[Label, ...] = setting(
        ("nvidia-fabricmanager-535",),
        impact="drain",
        description="The fabric manager, for hosts with NVSwitch; its version must be the driver's exactly.",
    )


class _Site(Protocol):
    @property
    def gpus(self) -> str: ...

    @property
    def driver(self) -> Driver: ...


def runs(context: Context, sites: Mapping[str, _Site]) -> tuple[Run, ...]:
    """Return the run `gpu` over every host that has GPUs; none where no host has.

    Raises:
        PlanError: some sites have real GPUs and others simulated ones, or different drivers.
    """
    hosts = tuple(host for host in context.hosts if host.hardware.gpu_count)
    if not hosts:
        return ()
    kinds = {sites[host.site].gpus for host in hosts}
    if len(kinds) > 1:
        raise PlanError("some sites have `gpus: simulated`, others `gpus: nvidia` — a platform has one or the other")
    return (_simulated(context.spec.name, hosts) if kinds == {"simulated"} else _nvidia(hosts, sites),)


def _simulated(platform: str, hosts: tuple[Host, ...]) -> Run:
    nodes = "/etc/tmpfiles.d/simulated-gpus.conf"
    unit = "/etc/systemd/system/simulated-gpus.service"
    return Run(
        name="gpu",
        role="gpu",
        hosts=tuple(host.name for host in hosts),
        files=(
            File(path=unit, content=render("gpu", "simulated-gpus.service.j2", nodes=nodes)),
            File(path="/usr/bin/nvidia-smi", content=render("gpu", "nvidia-smi"), mode="0755"),
        ),
        host_files={
            host.name: (
                File(path="/etc/platform-iac/gpus.json", content=_inventory(platform, host)),
                File(path=nodes, content=render("gpu", "simulated-gpus.conf.j2", count=_count(host), major=MAJOR)),
            )
            for host in hosts
        },
        units=(Unit(name="simulated-gpus.service", restart_on=(nodes, unit)),),
        vars={"driver": "simulated"},
        host_vars=_counts(hosts),
        needs=("base",),
    )


def _nvidia(hosts: tuple[Host, ...], sites: Mapping[str, _Site]) -> Run:
    drivers = {sites[host.site].driver for host in hosts}
    if len(drivers) > 1:
        raise PlanError("sites name different `driver` packages — one platform has one driver, or jobs cannot move")
    driver = drivers.pop()
    switched = any(gpu.nvswitch for host in hosts for gpu in host.hardware.gpus)
    modprobe, modules = "/etc/modprobe.d/platform-gpu.conf", "/etc/modules-load.d/platform-gpu.conf"
    persistence = "/etc/systemd/system/nvidia-persistenced.service.d/platform.conf"
    return Run(
        name="gpu",
        role="gpu",
        hosts=tuple(host.name for host in hosts),
        packages=tuple(sorted({*driver.packages, *(driver.fabric_manager if switched else ())})),
        files=(
            File(path=modprobe, content=render("gpu", "modprobe.conf.j2")),
            File(path=modules, content=render("gpu", "modules.conf.j2")),
            File(path=persistence, content=render("gpu", "persistenced.conf.j2")),
        ),
        units=(Unit(name="nvidia-persistenced.service", restart_on=(persistence,)),),
        vars={"driver": "nvidia"},
        host_vars={
            host.name: {"count": _count(host), "nvswitch": any(gpu.nvswitch for gpu in host.hardware.gpus)}
            for host in hosts
        },
        needs=("base",),
    )


def _counts(hosts: tuple[Host, ...]) -> dict[str, dict[str, Any]]:
    return {host.name: {"count": _count(host)} for host in hosts}


def _count(host: Host) -> int:
    return host.hardware.gpu_count


def _inventory(platform: str, host: Host) -> str:
    """The GPUs that the double of nvidia-smi answers for; their ids are the host's own and never change."""
    products = [gpu for gpu in host.hardware.gpus for _ in range(gpu.count)]
    gpus = [
        {
            "index": index,
            "model": gpu.model,
            "product": gpu.product,
            "memory_mib": gpu.memory_gib * 1024,
            "uuid": f"GPU-{uuid5(NAMESPACE_DNS, f'{index}.{host.name}.{platform}')}",
            "bus_id": f"00000000:{0x10 + index:02X}:00.0",
        }
        for index, gpu in enumerate(products)
    ]
    return json.dumps({"gpus": gpus}, indent=1) + "\n"


def checks(name: str, context: Context) -> tuple[Check, ...]:
    """Return, for each host of the site with GPUs, that nvidia-smi lists what the spec says."""
    return tuple(
        Check(
            name=f"{host.name} has its {_count(host)} GPUs",
            host=host.name,
            argv=("nvidia-smi", "--query-gpu=name", "--format=csv,noheader"),
            expect=_listed(host),
        )
        for host in context.hosts
        if host.site == name and host.hardware.gpu_count
    )


def _listed(host: Host) -> str:
    lines = (rf"({re.escape(gpu.product)}\n){{{gpu.count}}}" for gpu in host.hardware.gpus)
    return rf"\A{''.join(lines)}\Z"
