"""What no single field can tell: hosts, addresses and accounts that do not go together."""

from __future__ import annotations

import re
from ipaddress import IPv4Address, IPv4Network
from typing import TYPE_CHECKING, Any, Final

from platform_iac.spec.errors import Path, Problem
from platform_iac.spec.hostlist import estimate
from platform_iac.spec.types import is_system_group

if TYPE_CHECKING:
    from collections.abc import Iterator

    from platform_iac.spec.model import Platform, Pool

MOST_HOSTS: Final = 20_000
"""More than any fabric that the planner can cable; a typing error in a hostlist ends here."""

_NUMBER = re.compile(r"0*(\d+)")
_LOOK_ALIKE: Final = str.maketrans({"0": "o", "1": "l", "i": "l"})


def too_many(data: dict[str, Any]) -> Problem | None:
    """Return what is wrong when the raw spec asks for more hosts than any platform has.

    Asked before the spec is validated, so that a typing error in a hostlist costs no time or memory.
    """
    pools = data.get("pools")
    texts = [pool.get("hosts") for pool in pools.values() if isinstance(pool, dict)] if isinstance(pools, dict) else []
    if (hosts := sum(estimate(text) for text in texts if isinstance(text, str))) <= MOST_HOSTS:
        return None
    message = f"the pools ask for {hosts:,} hosts — a platform has {MOST_HOSTS:,} at most: mend a hostlist, or split it"
    return Problem(message, ("pools",))


def check(platform: Platform) -> list[Problem]:
    """Return everything that does not fit together; nothing when all does.

    Parts that refer to something missing are passed over: reading has reported them.
    """
    return [
        *_names(platform),
        *_networks(platform),
        *_inside(platform),
        *_twice_addressed(platform),
        *_accounts(platform),
        *_team_names(platform),
    ]


def looks(name: str) -> tuple[str, str]:
    """Return what a name looks like to the eye and to the ear: one is equal for names that people mix up.

    To the eye `gpu01`, `gpuo1` and `gpu0l` are one; to the ear `gpu01` and `gpu1` are.
    """
    return name.translate(_LOOK_ALIKE).replace("rn", "m").replace("vv", "w"), _NUMBER.sub(r"#\1", name)


def _names(platform: Platform) -> Iterator[Problem]:
    """Every host is in one pool, and no two look alike. One report for each pair of pools."""
    owners: dict[str, tuple[str, str]] = {}
    told: set[tuple[str, str]] = set()
    for pool_name, pool in platform.pools.items():
        for host in pool.names:
            for seen in looks(host):
                other, other_pool = owners.setdefault(seen, (host, pool_name))
                if (other, other_pool) == (host, pool_name) or (other_pool, pool_name) in told:
                    continue
                told.add((other_pool, pool_name))
                if other == host:
                    message = f"host `{host}` is in pool `{other_pool}` already — a host belongs to one pool"
                else:
                    message = f"`{host}` is easily taken for `{other}` of pool `{other_pool}` — rename one of them"
                yield Problem(message, ("pools", pool_name, "hosts"))


def _networks(platform: Platform) -> Iterator[Problem]:
    """No two sites share addresses: networks nest or are apart, so the last wide one in order is enough to look at."""
    networks = sorted((IPv4Network(site.network), name) for name, site in platform.sites.items())
    wide: IPv4Network | None = None
    owner = ""
    for network, name in networks:
        if wide is not None and wide.overlaps(network):
            message = f"{network} overlaps {wide} of site `{owner}` — give each site its own network"
            yield Problem(message, ("sites", name, "network"))
        else:
            wide, owner = network, name


def _inside(platform: Platform) -> Iterator[Problem]:
    """Every address is the site's to give. One report per pool."""
    for name, pool in platform.pools.items():
        site = platform.sites.get(pool.site or "")
        if site is None or pool.addresses is None:
            continue
        network = IPv4Network(site.network)
        first, last = _block(pool)
        path: Path = ("pools", name, "addresses")
        lowest, highest = int(network.network_address) + 1, int(network.broadcast_address) - 1
        free = f"{IPv4Address(lowest)} to {IPv4Address(highest)}"
        if not lowest <= first <= highest:
            message = f"{pool.addresses} is no host address of site `{pool.site}` ({site.network})"
            yield Problem(f"{message} — take one from {free}", path)
        elif last > highest:
            yield Problem(
                f"{len(pool.names)} hosts from {pool.addresses} on run past the end of {site.network} — "
                f"begin lower, at {IPv4Address(max(lowest, highest - len(pool.names) + 1))} or below",
                path,
            )
        else:
            for address, owner in site.reserved.items():
                if first <= int(IPv4Address(address)) <= last:
                    host = pool.names[int(IPv4Address(address)) - first]
                    yield Problem(f"{address}, for host `{host}`, is {owner} — begin at another address", path)


def _twice_addressed(platform: Platform) -> Iterator[Problem]:
    """No two hosts have one address: pools are blocks, so neighbours in order are enough to look at."""
    blocks = sorted((*_block(pool), name) for name, pool in platform.pools.items() if pool.addresses is not None)
    if not blocks:
        return
    _, reach, holder = blocks[0]
    order = {name: place for place, name in enumerate(platform.pools)}
    for first, last, name in blocks[1:]:
        if first <= reach:
            later, earlier = sorted((name, holder), key=order.__getitem__, reverse=True)
            address = IPv4Address(first)
            yield Problem(
                f"{address} is for `{_host_at(platform.pools[later], first)}` here and for "
                f"`{_host_at(platform.pools[earlier], first)}` of pool `{earlier}` — give the pools separate blocks",
                ("pools", later, "addresses"),
            )
        if last > reach:
            reach, holder = last, name


def _accounts(platform: Platform) -> Iterator[Problem]:
    """An account and a numeric id belong to one person in one team."""
    names: dict[str, str] = {}
    uids: dict[int, str] = {}
    for team_name, team in platform.teams.items():
        for user, member in team.members.items():
            path: Path = ("teams", team_name, "members", user)
            if names.setdefault(user, team_name) != team_name:
                yield Problem(f"`{user}` is in team `{names[user]}` too — a person belongs to one team", path)
                continue
            if (other := uids.setdefault(member.uid, user)) != user:
                yield Problem(f"uid {member.uid} is `{other}`'s — give every person their own", (*path, "uid"))


def _team_names(platform: Platform) -> Iterator[Problem]:
    """Teams become groups on the hosts and accounts in the scheduler, beside those that exist."""
    people = {user: team for team, members in platform.teams.items() for user in members.members}
    for name in platform.teams:
        if is_system_group(name):
            yield Problem(f"`{name}` is a group of the system — choose another name for the team", ("teams", name))
        elif name in people:
            where = f"in team `{people[name]}`"
            yield Problem(f"`{name}` is a person's account too, {where} — rename the team", ("teams", name))


def _block(pool: Pool) -> tuple[int, int]:
    """First and last address of a pool that has any."""
    first = int(IPv4Address(pool.addresses or ""))
    return first, first + len(pool.names) - 1


def _host_at(pool: Pool, address: int) -> str:
    return pool.names[address - _block(pool)[0]]
