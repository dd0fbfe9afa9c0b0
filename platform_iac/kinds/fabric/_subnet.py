"""The subnet manager opensm on hosts with `duty: manager`, as configured from the plan."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import TYPE_CHECKING, Annotated, Final, Literal

from pydantic import Field

from platform_iac.kinds.fabric import _lanes, _partitions, _simulated
from platform_iac.kinds.fabric._partitions import Partition
from platform_iac.plan.context import PlanError
from platform_iac.plan.model import Check, File, Run, Secret, Unit
from platform_iac.plan.render import render
from platform_iac.spec.base import Model, setting
from platform_iac.spec.types import Label

if TYPE_CHECKING:
    from collections.abc import Iterator

    from platform_iac.fabric.model import Fabric
    from platform_iac.plan.context import Context
    from platform_iac.plan.model import Host

ROLE: Final = "infiniband_manager"
KEYS: Final = tuple(Secret(name=f"fabric.{name}", length_bytes=8) for name in ("m_key", "sa_key", "sm_key"))
"""64 bits each, as the standard has them. Open-source opensm knows these three (NVIDIA, InfiniBand key guide)."""
HIGHEST_PRIORITY: Final = 14
"""15 is left free, so that somebody with a manager in hand can take over from all."""
CONF, PARTITIONS, ROOTS = "/etc/opensm/opensm.conf", "/etc/opensm/partitions.conf", "/etc/opensm/root_guids"
NAMES, DIAGNOSTICS = "/etc/opensm/node-name-map", "/etc/infiniband-diags/ibdiag.conf"
ENGINE: Final = "/usr/local/libexec/platform-iac/routing-engine"
Engine = Literal["ftree", "updn", "minhop"]
LATER: Final = "/etc/systemd/system/opensm.service.d/later.conf"
LATER_SECONDS: Final = 8
"""A twin's standby begins later than its master: a handover between managers that have just begun is lost there."""


class Manager(Model):
    """Who manages the subnet, and how."""

    kind: Literal["opensm", "ufm"] = setting(
        "opensm",
        impact="restart",
        description="opensm on the hosts with `duty: manager`; `ufm` is an appliance that owns its files.",
    )
    engine: Engine = setting(
        "ftree",
        impact="restart",
        description="Routing engine; opensm never falls back to another. `ftree` needs `switch_guids` of the top.",
    )
    qos: bool = setting(default=True, impact="restart", description="Virtual lanes are set up for service levels.")
    poll_seconds: Annotated[int, Field(ge=1, le=60)] = setting(
        2, impact="restart", description="Time between two polls of the master; five without answer and it is dead."
    )
    partitions: dict[Label, Partition] = setting(
        default_factory=dict,
        impact="drain",
        description="Partitions by name, besides those of teams with pools of their own and `platform` for the rest.",
    )


def managers(context: Context, fabric: Fabric) -> tuple[Host, ...]:
    """The hosts that run opensm: master first.

    Raises:
        PlanError: there are more than a master and its standby.
    """
    ports = {adapter.host for adapter in fabric.adapters}
    found = tuple(host for host in context.with_duty("manager") if host.name in ports)
    if len(found) > 2:
        raise PlanError(f"{len(found)} hosts have `duty: manager` — the fabric has one manager, or two")
    return found


def runs(spec: Manager, context: Context, fabric: Fabric) -> tuple[Run, ...]:
    """Return the runs of the simulator and of the managers, as far as there are any."""
    server = _simulated.mirror(context, fabric)
    found = [_simulated.run(server, fabric)] if server else []
    hosts = managers(context, fabric)
    if hosts and spec.kind == "opensm":
        found.append(_run(spec, context, fabric, hosts, server))
    return tuple(found)


def node(planned: Run, context: Context, fabric: Fabric) -> Run:
    """Return the run of the fabric's hosts with what leads them to a simulated fabric, on a twin."""
    server = _simulated.mirror(context, fabric)
    if server is None:
        return planned
    own = {host: (*files, _simulated.inventory(server, fabric, host)) for host, files in planned.host_files.items()}
    return replace(
        planned,
        packages=tuple(sorted({*planned.packages, _simulated.PACKAGE})),
        files=(*planned.files, *_simulated.files()),
        host_files={host: tuple(sorted(files, key=lambda file: file.path)) for host, files in own.items()},
        needs=(*planned.needs, _simulated.ROLE),
        after=(*planned.after, ROLE),
    )


def _run(spec: Manager, context: Context, fabric: Fabric, hosts: tuple[Host, ...], server: Host | None) -> Run:
    keys = {secret.name.removeprefix("fabric."): secret.placeholder for secret in KEYS}
    partitions = _partitions.planned(spec.partitions, context)
    roots = _roots(spec, fabric)
    known = [ROOTS] if roots else []
    waits = [LATER] if server and len(hosts) > 1 else []
    unit = "/etc/systemd/system/opensm.service.d/platform.conf"
    files = [
        File(
            path=PARTITIONS,
            content=render(ROLE, "partitions.conf.j2", lines=list(_partitions.rules(partitions, fabric, context))),
        ),
        File(path=NAMES, content=_names(fabric)),
        File(path=DIAGNOSTICS, content=render(ROLE, "ibdiag.conf.j2", **keys), mode="0600"),
        File(path=ENGINE, content=render(ROLE, "routing-engine"), mode="0755"),
        File(
            path=unit,
            content=render(
                ROLE,
                "opensm.service.conf.j2",
                program=_simulated.PROGRAM if server else "",
                restart_seconds=2 if server else 10,
            ),
        ),
        *([File(path=ROOTS, content="".join(f"0x{guid}\n" for guid in roots))] if roots else []),
        *(_simulated.files() if server else ()),
    ]
    own = {}
    for place, host in enumerate(hosts):
        port = next(adapter for adapter in fabric.adapters if adapter.host == host.name)
        text = render(
            ROLE,
            "opensm.conf.j2",
            guid=f"0x{port.guid or '0' * 16}",
            priority=HIGHEST_PRIORITY - place,
            engine=spec.engine,
            roots=ROOTS if roots else "",
            partitions=PARTITIONS,
            names=NAMES,
            lanes=_lanes.options(partitions.values()) if spec.qos else {},
            poll_ms=spec.poll_seconds * 1000,
            polls=4,
            **keys,
        )
        conf = File(path=CONF, content=text, mode="0600")
        later = File(path=LATER, content=render(ROLE, "later.service.conf.j2", seconds=LATER_SECONDS))
        doubles = (_simulated.inventory(server, fabric, host.name), *([later] if place else [])) if server else ()
        own[host.name] = (conf, *doubles)
    return Run(
        name=ROLE,
        role=ROLE,
        hosts=tuple(own),
        packages=tuple(sorted({"infiniband-diags", "opensm", *([_simulated.PACKAGE] if server else [])})),
        files=tuple(sorted(files, key=lambda file: file.path)),
        host_files=own,
        # A hang-up makes opensm read the partitions again and leaves the master what it is.
        units=(Unit(name="opensm.service", restart_on=(CONF, *known, *waits, unit), reload_on=(PARTITIONS,)),),
        secrets=tuple(secret.name for secret in KEYS),
        needs=("base", *([_simulated.ROLE] if server else [])),
    )


def _roots(spec: Manager, fabric: Fabric) -> tuple[str, ...]:
    """GUIDs of the top switches, for engines that know up from down; `updn` finds them where the spec does not say all.

    Raises:
        PlanError: `ftree` is not told one. It would take a pure fat tree only, and leave the ports of any other down:
            pods that are not alike, or one uplink that is missing (opensm, osm_ucast_ftree.c).
    """
    top = fabric.of_tier("core" if fabric.tiers == 3 else "spine")
    unknown = [switch.name for switch in top if not switch.guid]
    if spec.engine == "ftree" and unknown:
        few = f"`{unknown[0]}`" + (f" to `{unknown[-1]}`" if len(unknown) > 1 else "")
        raise PlanError(
            f"fabric.manager: `ftree` is to be told the top switches, and nothing tells the GUIDs of {few} — "
            "list them in `fabric.switch_guids`, or take `engine: minhop` until you know them"
        )
    return () if spec.engine == "minhop" or unknown else tuple(switch.guid for switch in top)


def _names(fabric: Fabric) -> str:
    """Names of switches that bear none themselves (ibnetdiscover(8), "NODE NAME MAP FILE FORMAT")."""
    return "".join(f'0x{switch.guid} "{switch.name}"\n' for switch in fabric.switches if switch.guid)


def secrets(spec: Manager, context: Context, fabric: Fabric) -> tuple[Secret, ...]:
    """The keys, where a manager of ours has them."""
    return KEYS if spec.kind == "opensm" and managers(context, fabric) else ()


def checks(spec: Manager, context: Context, fabric: Fabric) -> Iterator[Check]:
    """Yield the proof: master and standby, the engine that is really used, every planned port and its partitions."""
    hosts = managers(context, fabric)
    if not hosts or spec.kind != "opensm":
        return
    yield Check(name="the fabric has a master", host=hosts[0].name, argv=("sminfo",), expect="SMINFO_MASTER")
    for host in hosts:
        yield Check(
            name=f"opensm on {host.name} routes by {spec.engine}, or stands by",
            host=host.name,
            argv=(ENGINE,),
            expect=rf"^(master {spec.engine}|standby)$",
        )
    if len(hosts) > 1:
        states = r"(?=[\s\S]*SMState\.+3)(?=[\s\S]*SMState\.+2)"
        yield Check(
            name="the fabric has a standby", host=hosts[0].name, argv=("saquery", "SMIR"), expect=rf"\A{states}"
        )
    yield from _memberships(hosts[0].name, spec, context, fabric)
    devices: dict[str, list[str]] = {}
    for adapter in fabric.adapters:
        devices.setdefault(adapter.host, []).append(adapter.device)
    known = {host.name for host in context.hosts}
    for name, own in devices.items():
        if name in known:
            active = "".join(
                rf"(?=[\s\S]*CA '{re.escape(device)}'\n(?:(?!CA ')[\s\S])*?State: Active$)" for device in own
            )
            yield Check(
                name=f"{name} is on the fabric with {len(own)} ports",
                host=name,
                argv=("ibstat",),
                expect=rf"\A{active}",
            )


def _memberships(asks: str, spec: Manager, context: Context, fabric: Fabric) -> Iterator[Check]:
    """Yield what proves that the first port of each host has its partitions' keys and no other, that of its jobs first.

    A manager asks, as it has the key without which ports answer nobody. Only ports whose GUID is known are found.
    """
    partitions = _partitions.planned(spec.partitions, context)
    wanted = _partitions.keys(partitions, fabric, context)
    first = _partitions.first(partitions, fabric, context)
    for port in {port.host: port for port in reversed(fabric.adapters) if port.guid and port.name in wanted}.values():
        keys = [f"0x{key:04x}" for key in sorted(wanted[port.name])]
        there = "".join(rf"(?=[\s\S]*{key})" for key in (rf"^ *0: 0x{first[port.name]:04x}\b", *keys))
        yield Check(
            name=f"{port.host} is in its partitions and in no other",
            host=asks,
            argv=("smpquery", "-G", "pkeys", f"0x{port.guid}", "1"),
            expect=rf"\A{there}(?![\s\S]*0x(?!{'|'.join(key[2:] for key in keys)}|0000)[0-9a-f]{{4}}\b)",
        )
