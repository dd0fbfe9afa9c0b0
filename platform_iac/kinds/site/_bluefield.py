"""The mode of BlueField cards: adapters of their host, or computers of their own that hand it a network.

The firmware's setting INTERNAL_CPU_OFFLOAD_ENGINE is 1 in NIC mode and 0 in DPU mode, and holds from the next power
cycle on (NVIDIA DOCA, "BlueField Modes of Operation"). Debian's mstflint sets it. Cards in zero-trust mode refuse.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from platform_iac.plan.model import Check, File, Run, Unit
from platform_iac.plan.render import render

if TYPE_CHECKING:
    from collections.abc import Iterator

    from platform_iac.plan.context import Context
    from platform_iac.plan.model import Host

ROLE: Final = "bluefield"
CARDS: Final = "/etc/platform-iac/bluefield"
PROGRAM: Final = "/usr/local/libexec/platform-iac/bluefield-mode"
UNIT: Final = "bluefield-mode.service"


def runs(context: Context) -> tuple[Run, ...]:
    """Return the run `bluefield` over every host whose hardware says the mode of its cards; none where no host has."""
    cards = {host.name: found for host in context.hosts if (found := _modes(host))}
    if not cards:
        return ()
    unit = f"/etc/systemd/system/{UNIT}"
    run = Run(
        name=ROLE,
        role=ROLE,
        hosts=tuple(cards),
        packages=("mstflint",),
        files=(
            File(path=unit, content=render(ROLE, "bluefield-mode.service.j2", program=PROGRAM)),
            File(path=PROGRAM, content=render(ROLE, "bluefield-mode"), mode="0755"),
        ),
        host_files={
            host: (File(path=CARDS, content="".join(f"{device} {mode}\n" for device, mode in found.items())),)
            for host, found in cards.items()
        },
        units=(Unit(name=UNIT, restart_on=(unit, CARDS, PROGRAM)),),
        vars={"program": PROGRAM},
        needs=("base",),
    )
    return (run,)


def checks(name: str, context: Context) -> Iterator[Check]:
    """Yield, for each host of the site with cards, that they are in their mode, also after the next power cycle."""
    if getattr(context.spec.sites[name], "gpus", "") == "simulated":
        return
    for host in context.hosts:
        if host.site == name and (found := _modes(host)):
            lines = "".join(f"{device} {mode} {mode}\n" for device, mode in found.items())
            yield Check(
                name=f"BlueField cards of {host.name} are in their mode",
                host=host.name,
                argv=(PROGRAM, "show"),
                expect=rf"\A{re.escape(lines)}\Z",
            )


def _modes(host: Host) -> dict[str, str]:
    """The mode of every BlueField port, by RDMA device."""
    return {device: nics.dpu for nics in host.hardware.nics if nics.dpu for device in nics.names}
