"""Partitions of an InfiniBand fabric: which ports may talk to each other, whatever runs on them.

Hosts are limited members of the default partition and managers full ones (NVIDIA, InfiniBand key
guide): limited members cannot talk to each other, so every host is a full member of another one.
"""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING, Annotated, Final, Literal
from zlib import crc32

from pydantic import Field, model_validator

from platform_iac.plan.context import PlanError
from platform_iac.spec.base import Model, setting
from platform_iac.spec.types import Cidr, PoolName, wrong

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from platform_iac.fabric.model import Adapter, Fabric
    from platform_iac.plan.context import Context

DEFAULT: Final = 0x7FFF
FULL: Final = 0x8000
"""The bit of a port's partition key that makes it a full member (IBA 1.3, 10.9.3)."""
PLATFORM: Final = 0x0001
"""Key of the partition of hosts that are no team's alone."""
AT_ONCE: Final = 16
"""Ports of one rule: rules of one key are merged, and a line stays readable."""
MTU: Final = {2048: 4, 4096: 5}
"""How opensm writes an MTU (IBA 1.3, MCMemberRecord)."""


class Partition(Model):
    """Ports that may talk to each other."""

    pkey: Annotated[int, Field(ge=1, lt=DEFAULT)] = setting(
        impact="drain", description="The partition's key, 15 bits: `0x0010`."
    )
    pools: tuple[PoolName, ...] = setting(
        (), impact="drain", description="Pools whose hosts are members; left out, all on the fabric."
    )
    members: Literal["full", "limited"] = setting(
        "full", impact="drain", description="Limited members reach full ones, and not each other."
    )
    ipoib: bool = setting(default=False, impact="reconfigure", description="IP may run over it.")
    network: Cidr | None = setting(
        None,
        impact="reconfigure",
        description="IP network of its members, on their first port; host n of their site is host n of it.",
    )
    mtu: Literal[2048, 4096] = setting(4096, impact="drain", description="MTU of its IPoIB broadcast group.")
    sl: Annotated[int, Field(ge=0, le=14)] = setting(
        0, impact="restart", description="Service level of its traffic; each level has a virtual lane of its own."
    )
    weight: Annotated[int, Field(ge=1, le=255)] = setting(
        32, impact="restart", description="Its level's share of a full link, against the other levels' weights."
    )

    @model_validator(mode="after")
    def _carries_ip(self) -> Partition:
        if self.network and not self.ipoib:
            raise wrong(f"{self.network} needs IP over the partition — add `ipoib: true`, or leave `network` out")
        if self.network and self.members == "limited":
            raise wrong("limited members cannot talk to each other — take `members: full`, or leave `network` out")
        return self


def planned(given: Mapping[str, Partition], context: Context) -> dict[str, Partition]:
    """Return all partitions by name: those of teams with pools of their own, `platform` for the rest, those given.

    A team has a pool of its own where every partition of the scheduler with that pool is for it alone.

    Raises:
        PlanError: two have one key, or one by which jobs run is given in a way that leaves some of them out.
    """
    own = leading(context)
    found = own | {name: _given(name, one, own.get(name), context) for name, one in given.items()}
    keys: dict[int, str] = {}
    for name, partition in found.items():
        if (other := keys.setdefault(partition.pkey, name)) != name:
            raise PlanError(
                f"fabric.partitions: `{name}` and `{other}` both have pkey 0x{partition.pkey:04x} — "
                f"give `{name}` another one"
            )
    return dict(sorted(found.items()))


def leading(context: Context) -> dict[str, Partition]:
    """Return the partitions that come first in their ports' tables: each host is in one and only one.

    Programs that choose no partition take the first. A partition of the spec may be for some hosts, or limited.
    """
    own: defaultdict[str, list[str]] = defaultdict(list)
    for pool, team in _reserved(context).items():
        own[team].append(pool)
    found = {team: Partition(pkey=_pkey(team), pools=tuple(pools)) for team, pools in sorted(own.items())}
    taken = {pool for pools in own.values() for pool in pools}
    if rest := tuple(pool for pool in _pools(context) if pool not in taken):
        found["platform"] = Partition(pkey=PLATFORM, pools=rest if taken else ())
    return found


def _given(name: str, partition: Partition, own: Partition | None, context: Context) -> Partition:
    """Return a partition of the spec; one that stands for one of ours keeps its members."""
    if own is None:
        return partition
    if partition.members == "limited":
        raise PlanError(
            f"fabric.partitions.{name}: jobs run in it, and limited members cannot talk to each other — "
            "take `members: full`, or another name"
        )
    everyone = _pools(context)
    if partition.pools and set(partition.pools) != set(own.pools or everyone):
        raise PlanError(
            f"fabric.partitions.{name}: jobs run in it, on pools {', '.join(own.pools or everyone)} — "
            "leave `pools` out, or take another name"
        )
    return partition.model_copy(update={"pools": own.pools})


def _pools(context: Context) -> tuple[str, ...]:
    return tuple(dict.fromkeys(host.pool for host in context.hosts if host.duty != "manager"))


def _reserved(context: Context) -> dict[str, str]:
    """Pools that only one team's jobs reach, with the team."""
    teams: defaultdict[str, set[str]] = defaultdict(set)
    for partition in getattr(context.spec.scheduler, "partitions", {}).values():
        for pool in getattr(partition, "pools", ()):
            teams[pool] |= set(getattr(partition, "teams", ())) or {"", "everybody"}
    return {pool: next(iter(found)) for pool, found in sorted(teams.items()) if len(found) == 1}


def _pkey(team: str) -> int:
    """A key that stays the team's own when others come and go: 0x1000 to 0x6fff."""
    return 0x1000 + crc32(team.encode()) % 0x6000


def rules(partitions: Mapping[str, Partition], fabric: Fabric, context: Context) -> Iterator[str]:
    """Yield the rules of partitions.conf; the one for Default is always there, and first.

    Raises:
        PlanError: a partition is for some pools only, and the spec does not tell their ports' GUIDs.
    """
    managers = [f"0x{adapter.guid}=full" for adapter in _of(fabric, context, managers=True) if adapter.guid]
    yield f"Default=0x{DEFAULT:04x} : {', '.join(['ALL=limited', 'ALL_SWITCHES=full', 'SELF=full', *managers])} ;"
    for name, partition, ports, leads in led(partitions, fabric, context):
        flags = [f"{name}=0x{partition.pkey:04x}"]
        if leads:
            flags.append("indx0")
        if partition.ipoib:
            flags += ["ipoib", f"mtu={MTU[partition.mtu]}"]
        if partition.sl:
            flags.append(f"sl={partition.sl}")
        head = ",".join(flags)
        if _all(partition, ports):
            yield f"{head} : ALL_CAS={partition.members} ;"
            continue
        if unknown := next((port for port in ports if not port.guid), None):
            raise PlanError(
                f"fabric.partitions.{name} is for some pools only, and nothing tells the GUIDs of `{unknown.host}` — "
                "list them in `fabric.guids`, or take `pools` out"
            )
        for start in range(0, len(ports), AT_ONCE):
            guids = (f"0x{port.guid}={partition.members}" for port in ports[start : start + AT_ONCE])
            yield f"{head} : {', '.join(guids)} ;"


def led(
    partitions: Mapping[str, Partition], fabric: Fabric, context: Context
) -> Iterator[tuple[str, Partition, list[Adapter], bool]]:
    """Yield each partition with its ports, and whether it comes first in their tables."""
    leaders = leading(context)
    for name, partition in partitions.items():
        yield name, partition, members(partition, fabric, context), name in leaders


def members(partition: Partition, fabric: Fabric, context: Context) -> list[Adapter]:
    """Return the ports of a partition, in the fabric's order."""
    pools = {host.name: host.pool for host in context.hosts}
    ports = _of(fabric, context, managers=False)
    return [port for port in ports if not partition.pools or pools[port.host] in partition.pools]


def keys(partitions: Mapping[str, Partition], fabric: Fabric, context: Context) -> dict[str, set[int]]:
    """Return the partition keys that each port must have, membership bit included, by the port's name."""
    found = {port.name: {key} for port, key in _default(fabric, context)}
    for partition in partitions.values():
        key = partition.pkey | (FULL if partition.members == "full" else 0)
        for port in _ruled(partition, members(partition, fabric, context), fabric, context):
            found[port.name].add(key)
    return found


def first(partitions: Mapping[str, Partition], fabric: Fabric, context: Context) -> dict[str, int]:
    """Return the key that comes first in each port's table, membership bit included, by the port's name."""
    found = {port.name: key for port, key in _default(fabric, context)}
    for _, partition, ports, leads in led(partitions, fabric, context):
        if leads:
            found |= {port.name: partition.pkey | FULL for port in _ruled(partition, ports, fabric, context)}
    return found


def _default(fabric: Fabric, context: Context) -> Iterator[tuple[Adapter, int]]:
    """Yield every port with its key of the default partition."""
    yield from ((port, DEFAULT) for port in _of(fabric, context, managers=False))
    yield from ((port, DEFAULT | FULL) for port in _of(fabric, context, managers=True))


def _all(partition: Partition, ports: list[Adapter]) -> bool:
    """Whether its rule is for all adapters, as it names no pools and not all GUIDs are known."""
    return not partition.pools and not all(port.guid for port in ports)


def _ruled(partition: Partition, ports: list[Adapter], fabric: Fabric, context: Context) -> list[Adapter]:
    """Its ports, and the managers' where its rule is for all adapters."""
    return ports + _of(fabric, context, managers=True) if _all(partition, ports) else ports


def _of(fabric: Fabric, context: Context, *, managers: bool) -> list[Adapter]:
    duties = {host.name: host.duty for host in context.hosts}
    return [port for port in fabric.adapters if port.host in duties and (duties[port.host] == "manager") == managers]
