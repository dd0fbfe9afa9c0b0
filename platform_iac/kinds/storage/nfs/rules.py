"""What of the NFS storages does not fit the hosts or each other."""

from __future__ import annotations

from ipaddress import IPv4Address, IPv4Network
from typing import TYPE_CHECKING

from platform_iac.kinds.storage import _disks, _shared
from platform_iac.kinds.storage.nfs import options
from platform_iac.plan.context import PlanError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from platform_iac.kinds.storage.nfs.spec import Servers, Spec
    from platform_iac.plan.context import Context
    from platform_iac.plan.model import Host


def check(entries: Mapping[str, Spec], context: Context) -> None:
    """Refuse what cannot work.

    Raises:
        PlanError: says what is wrong and what to do.
    """
    _shared.no_place_twice(context)
    for name, spec in entries.items():
        clients = spec.clients(context)
        for client in clients:
            _ports(name, spec, client)
            options.connections(name, spec, client)
        if spec.served_by:
            _served(name, spec, spec.served_by, context)
        elif spec.server and spec.server.capacity_gib:
            _fits(f"storage.{name}", {name: spec}, spec.server.capacity_gib)
    _one_transport(entries, context)
    for host, own in by_server(entries, context):
        _one_server(host, own)
        _numbers(host, own)
        array = array_of(own, host, context)
        _fits(f"storage.{', '.join(own)} on {host.name}", own, array.usable_gib)
    _one_daemon(entries)
    _projects(entries)


def server_of(name: str, spec: Spec, context: Context) -> Host | None:
    """Return the host of ours that serves an entry; None where an all-flash system does.

    Raises:
        PlanError: the pool has no such host, or it is not said which.
    """
    if spec.served_by is None:
        return None
    pool = context.spec.pools[spec.served_by.pool]
    if pool.duty != "storage":
        raise PlanError(
            f"storage.{name}.served_by: pool `{spec.served_by.pool}` has `duty: {pool.duty}` — name one with "
            "`duty: storage`"
        )
    hosts = {host.name: host for host in context.hosts if host.pool == spec.served_by.pool}
    chosen = spec.served_by.host or (next(iter(hosts)) if len(hosts) == 1 else "")
    if chosen not in hosts:
        what = f"has no host `{chosen}`" if chosen else f"has {len(hosts)} hosts, and an export has one server"
        raise PlanError(f"storage.{name}.served_by: pool `{spec.served_by.pool}` {what} — say `host:` {_list(hosts)}")
    return hosts[chosen]


def by_server(entries: Mapping[str, Spec], context: Context) -> list[tuple[Host, dict[str, Spec]]]:
    """Return each host of ours that serves some of the entries, with these."""
    found: dict[str, tuple[Host, dict[str, Spec]]] = {}
    for name, spec in entries.items():
        if host := server_of(name, spec, context):
            found.setdefault(host.name, (host, {}))[1][name] = spec
    return [found[name] for name in sorted(found)]


def array_of(own: Mapping[str, Spec], host: Host, context: Context) -> _disks.Array:
    """Return the array that a server's exports lie on."""
    name, spec = next(iter(own.items()))
    assert spec.served_by is not None, "only such are grouped by server"
    return _disks.array("nfs", spec.served_by.raid, host, context, asked_by=f"storage.{name}")


def networks(spec: Spec, context: Context) -> tuple[str, ...]:
    """Return the networks whose hosts may mount an entry of our own servers, sorted."""
    if spec.served_by and spec.served_by.networks:
        return tuple(sorted(spec.served_by.networks))
    return tuple(sorted({context.spec.sites[host.site].network for host in spec.clients(context)}))


def _ports(name: str, spec: Spec, host: Host) -> None:
    if options.rate_gbps(spec, host) == 0:
        has = sorted({nics.purpose for nics in host.hardware.nics})
        other = f", or say `network: {has[0]}`" if has and spec.transport == "tcp" else ""
        raise PlanError(
            f"storage.{name}: {host.name} has no port for `network: {spec.network}` — give its `hardware` nics of "
            f"`purpose: {spec.network}`{other}"
        )


def _served(name: str, spec: Spec, servers: Servers, context: Context) -> None:
    host = server_of(name, spec, context)
    assert host is not None, "served_by is set"
    _ports(name, spec, host)
    speak = {nics.kind for nics in host.hardware.nics if nics.purpose == spec.network}
    if speak == {"infiniband"} and servers.address is None:
        raise PlanError(
            f"storage.{name}.served_by: the {spec.network} ports of {host.name} are InfiniBand, and {host.address} is "
            "elsewhere — say its IPoIB `address`, and the `networks` of the clients"
        )
    allowed = networks(spec, context)
    if servers.address and not any(IPv4Address(servers.address) in IPv4Network(one) for one in allowed):
        raise PlanError(
            f"storage.{name}.served_by.address: {servers.address} is in none of the networks that may mount it "
            f"({_list(allowed)}) — name the clients' `networks`"
        )


def _one_server(host: Host, own: Mapping[str, Spec]) -> None:
    """A host has one daemon and one array."""
    first, *others = own.items()
    for name, spec in others:
        for field in ("daemon", "raid", "threads", "lease_seconds"):
            mine, its = getattr(spec.served_by, field), getattr(first[1].served_by, field)
            if mine != its:
                raise PlanError(
                    f"storage.{name}.served_by.{field}: {mine}, but `{first[0]}` has {its} on the same host "
                    f"{host.name} — write the same, or serve it from another host"
                )

        for other, its_spec in own.items():
            if its_spec.transport == spec.transport and its_spec.listens != spec.listens:
                raise PlanError(
                    f"storage.{name}.port: {spec.listens}, but {host.name} serves `{other}` over {spec.transport} at "
                    f"{its_spec.listens} — a server has one port for each transport, write the same"
                )


def _numbers(host: Host, own: Mapping[str, Spec]) -> None:
    """Each export of a server has its own number."""
    seen: dict[int, str] = {}
    for name, spec in own.items():
        assert spec.served_by is not None, "only such are grouped by server"
        if (other := seen.setdefault(options.export_number(name, spec.served_by.daemon), name)) != name:
            raise PlanError(
                f"storage: {host.name} would export `{other}` and `{name}` under the same number — rename the newer one"
            )


def _one_daemon(entries: Mapping[str, Spec]) -> None:
    """All servers of ours run one daemon, so that one set of packages and units is looked after."""
    daemons = {spec.served_by.daemon: name for name, spec in entries.items() if spec.served_by}
    if len(daemons) > 1:
        told = ", ".join(f"`{name}` has {daemon}" for daemon, name in sorted(daemons.items()))
        raise PlanError(f"storage: {told} — write the same `daemon` for all servers of a platform")


def _one_transport(entries: Mapping[str, Spec], context: Context) -> None:
    """Linux opens one set of connections to a server and version; a second mount silently gets the first one's."""
    seen: dict[tuple[str, str], tuple[str, Spec]] = {}
    for name, spec in entries.items():
        server = server_of(name, spec, context)
        for place in spec.server.addresses if spec.server else [options.address(spec, server, context.hosts[0])]:
            other, first = seen.setdefault((place, spec.spoken), (name, spec))
            if (spec.transport, spec.nconnect, spec.listens) != (first.transport, first.nconnect, first.listens):
                raise PlanError(
                    f"storage.{name}: it comes from {place} as `{other}` does, and Linux would mount both over the "
                    "connections of the first — write the same `transport`, `port` and `nconnect`"
                )


def _fits(where: str, entries: Mapping[str, Spec], usable_gib: int) -> None:
    promised = sum(sum(spec.quotas_gib.values()) for spec in entries.values())
    if promised > usable_gib:
        raise PlanError(
            f"{where}: quotas promise {promised:,} GiB, there are {usable_gib:,} — lower `quotas_gib`, or add disks"
        )


def _projects(entries: Mapping[str, Spec]) -> None:
    seen: dict[int, str] = {}
    for name, spec in entries.items():
        for team in spec.quotas_gib:
            what = f"team `{team}` in `{name}`"
            if (other := seen.setdefault(_shared.number(name, team), what)) != what:
                raise PlanError(f"storage: {what} and {other} get the same project number — rename one of the storages")


def _list(names: Mapping[str, object] | tuple[str, ...]) -> str:
    return ", ".join(names)
