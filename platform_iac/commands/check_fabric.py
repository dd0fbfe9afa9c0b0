"""`platform-iac check fabric`: are the cables where the plan has them, and as fast?"""

from __future__ import annotations

import json as jsons
import sys
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

from platform_iac.commands import layout
from platform_iac.commands.cabling import planned
from platform_iac.commands.errors import FAILED, CommandError
from platform_iac.fabric import ibnet
from platform_iac.fabric.compare import Report, compare

if TYPE_CHECKING:
    from platform_iac.fabric.model import Fabric

DISCOVERY_SECONDS = 300
"""ibnetdiscover asks every port, two at a time: 12 s for 1,000 nodes where none is silent."""


def check_fabric(stack: str, *, discovery: str | None = None, simulated: bool = False, json: bool = False) -> int:
    """Print what is wrong with the cables; 1 where something is.

    `discovery` is a file with what `ibnetdiscover` printed, `-` standard input; without it a host of the
    running stack is asked. `simulated`: the file is of a simulator, whose rates stand for higher ones.
    """
    spec, plan = planned(stack)
    report, where = compared(stack, plan, discovery=discovery, simulated=simulated)
    if json:
        print(jsons.dumps({"stack": spec.name, "discovery": where, **asdict(report)}, indent=2))
    else:
        print(said(report), end="")
    return FAILED if report.findings else 0


def compared(stack: str, plan: Fabric, *, discovery: str | None = None, simulated: bool = False) -> tuple[Report, str]:
    """Return what is wrong with the cables of `plan`, and where that was seen: `discovery`, or a host of the stack.

    Raises:
        CommandError: nothing was found out; with the reason.
    """
    if plan.kind != "infiniband":
        raise CommandError(
            f"{stack}: ibnetdiscover sees InfiniBand, and this fabric is {plan.kind} — compare what `lldpctl` says "
            "on its hosts with fabric.dot of `platform-iac cabling`"
        )
    if discovery is None:
        text, where, simulated = ask(stack, plan)
    else:
        text, where = read(discovery), discovery
    try:
        found = ibnet.parse(text)
    except ibnet.DiscoveryError as error:
        raise CommandError(f"{where}: {error}") from error
    return compare(plan, found, divisor=ibnet.slowdown(plan) if simulated else 1), where


def read(path: str) -> str:
    """Return a file's text, or that of standard input for `-`.

    Raises:
        CommandError: it cannot be read.
    """
    if path == "-":
        return sys.stdin.read()
    try:
        return Path(path).read_text(encoding="utf-8", errors="replace")
    except OSError as error:
        raise CommandError(f"{path}: {error.strerror} — name what `ibnetdiscover` printed, or `-`") from error


def ask(stack: str, plan: Fabric) -> tuple[str, str, bool]:
    """Return what `ibnetdiscover` prints on a host of the stack, the host, and whether its devices are simulated.

    Managers are asked before nodes, and one after the other until one answers.

    Raises:
        CommandError: none does; with the last one's words.
    """
    from platform_iac.commands.check import reach
    from platform_iac.plan.make import make
    from platform_iac.spec.load import load

    platform = make(load(stack))
    known = {host.name: host.site for host in platform.hosts}
    adapters = sorted(plan.adapters, key=lambda adapter: adapter.rail != 0)
    hosts = [host for host in dict.fromkeys(adapter.host for adapter in adapters) if host in known]
    remote, said = reach(stack, platform), "no host of this stack is on the fabric"
    for host in hosts[:3]:
        done = remote(host, ["ibnetdiscover"], timeout_seconds=DISCOVERY_SECONDS)
        if done.rc == 0:
            settings = next(site.settings for site in platform.sites if site.name == known[host])
            return done.out, host, settings.get("gpus") == "simulated"
        said = f"{host}: ibnetdiscover ended with {done.rc}: {done.said}"
    raise CommandError(f"{said} — is the stack up? or give a file: `--discovery FILE`", status=FAILED)


def said(report: Report) -> str:
    """Return the findings for people, and the count."""
    rows = [(finding.kind, finding.text) for finding in report.findings]
    wrong = len(report.findings)
    ends = [
        *(f"  note: {note}\n" for note in report.notes),
        f"  {report.right:,} of {report.planned:,} cables are where they belong, {wrong} finding{'s' * (wrong != 1)}\n",
    ]
    return (layout.table("Fabric", rows) or "Fabric\n") + "".join(ends)
