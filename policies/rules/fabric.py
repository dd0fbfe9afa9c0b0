"""InfiniBand: a fabric that its partitions do not cut in two, whose keys are set, and that survives its manager.

Ethernet: RDMA in a priority of its own that is paused and not dropped, marks before that, and one MTU.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from policies.parse import fabric
from policies.rule import Rule
from policies.rules.hosts import SECRET

if TYPE_CHECKING:
    from policies.parse.fabric import Partition
    from policies.rule import Context
    from policies.target import File, Stack, Target

DEFAULT = 0x7FFF
FOLDERS = ("/etc/opensm/", "/etc/rdma/")
EVERYONE = ("all", "all_cas")


def _manages(target: Target) -> bool:
    """Whether the role runs the subnet manager, whatever the role is called."""
    units = {name.partition("@")[0].removesuffix(".service") for name in target.units}
    return "opensm" in target.packages or "opensm" in units or any(_named(target, "opensm.conf"))


def _named(target: Target, name: str) -> Iterator[tuple[str, File]]:
    for hosts, file in target.files(*FOLDERS):
        if file.path.rpartition("/")[2] == name:
            yield hosts, file


def _partitions(target: Target) -> Iterator[tuple[str, list[Partition]]]:
    for hosts, file in _named(target, "partitions.conf"):
        yield hosts, list(fabric.partitions(file.content))


def _options(target: Target) -> Iterator[tuple[str, dict[str, str]]]:
    for hosts, file in _named(target, "opensm.conf"):
        yield hosts, fabric.options(file.content)


def _default(target: Target, context: Context) -> Iterator[str]:
    del context
    if not _manages(target):
        return
    found = False
    for hosts, partitions in _partitions(target):
        found = True
        default = [partition for partition in partitions if partition.key == DEFAULT]
        if not default:
            yield f"{hosts}: partitions.conf has no rule for 0x7fff: every port becomes a limited member"
        members = {who: how for partition in default for who, how in partition.members.items()}
        if default and not any(how in ("full", "both") for how in members.values()):
            yield f"{hosts}: nobody is a full member of 0x7fff, and limited members cannot talk to each other"
    if not found:
        yield "opensm has no partitions.conf: every port is a full member of the one partition"


def _limited(target: Target, context: Context) -> Iterator[str]:
    del context
    for hosts, partitions in _partitions(target):
        for partition in partitions:
            if partition.key == DEFAULT:
                for who, how in partition.members.items():
                    if who in EVERYONE and how != "limited":
                        yield f"{hosts}: {who.upper()} is {how} member of 0x7fff"


def _keys_of_partitions(target: Target, context: Context) -> Iterator[str]:
    del context
    for hosts, partitions in _partitions(target):
        seen: dict[int, str] = {}
        for partition in partitions:
            if partition.key is None:
                yield f"{hosts}: partition {partition.name} has no key, so each start makes up another one"
            elif partition.key == 0:
                yield f"{hosts}: partition {partition.name} has the key 0, which is none"
            elif (other := seen.setdefault(partition.key, partition.name)) != partition.name:
                yield f"{hosts}: partitions {other} and {partition.name} are one: both have {partition.key:#06x}"


def _teams(stack: Stack, context: Context) -> Iterator[str]:
    managers = [target for target in stack.roles() if _manages(target)]
    if not managers or not context.facts.teams:
        return
    names = {
        partition.name.lower()
        for target in managers
        for _, partitions in _partitions(target)
        for partition in partitions
        if partition.key != DEFAULT
    }
    for team in context.facts.teams:
        if team.lower() not in names:
            yield f"team {team} has no partition of its own"


def _redundant(stack: Stack, context: Context) -> Iterator[str]:
    hosts = {host for target in stack.roles() if _manages(target) for host in target.hosts}
    if hosts and len(hosts) < context.settings["hosts"]:
        yield f"only {', '.join(sorted(hosts))} runs opensm"


def _management_key(target: Target, context: Context) -> Iterator[str]:
    """m_key guards every port's settings; sa_key and sm_key have a public default of 1."""
    del context
    if not _manages(target):
        return
    found = False
    for hosts, options in _options(target):
        found = True
        for name, public in (("m_key", "0"), ("sa_key", "1"), ("sm_key", "1")):
            given = options.get(name, public)
            if SECRET.search(given):
                continue
            try:
                number = int(given, 0)
            except ValueError:
                number = -1
            yield f"{hosts}: {name} is {'not set' if number in (0, 1) else 'no secret'}"
    if not found:
        yield "opensm has no opensm.conf, so its keys are those that everyone knows"


def _protection(target: Target, context: Context) -> Iterator[str]:
    if not _manages(target):
        return
    for hosts, options in _options(target):
        if options.get("m_key_protection_level", "0") not in ("2", "3"):
            yield f"{hosts}: m_key_protection_level is {options.get('m_key_protection_level', '0')}"
        lease = options.get("m_key_lease_period", "0")
        if not lease.isdigit() or not 1 <= int(lease) <= context.settings["seconds"]:
            yield f"{hosts}: m_key_lease_period is {lease}"


def _routing(target: Target, context: Context) -> Iterator[str]:
    del context
    if not _manages(target):
        return
    for hosts, options in _options(target):
        engines = [word.strip().lower() for word in options.get("routing_engine", "").split(",") if word.strip()]
        if not engines:
            yield f"{hosts}: no routing_engine, so it is minhop"
        elif "no_fallback" not in engines:
            yield f"{hosts}: routing_engine {','.join(engines)} falls back to minhop and says nothing"


RAILS, ETHERNET, NCCL = "/etc/platform-iac/rails", "/etc/platform-iac/ethernet.conf", "/etc/nccl.conf"


def _ethernet(target: Target) -> Iterator[tuple[str, dict[str, str]]]:
    """Yield (hosts, what their shell knows of the fabric) for hosts with rails; empty where they are told nothing."""
    for hosts, files in target.groups:
        if ETHERNET in files:
            yield hosts, fabric.assignments(files[ETHERNET].content)
        elif RAILS in files:
            yield hosts, {}


def _number(settings: dict[str, str], name: str) -> int:
    """A number as a shell's programs take it; -1 where there is none."""
    try:
        return int(settings.get(name, ""), 0)
    except ValueError:
        return -1


def _lossless(target: Target, context: Context) -> Iterator[str]:
    del context
    for hosts, settings in _ethernet(target):
        if not settings:
            yield f"{hosts}: rails, and no ethernet.conf that says which packets may not be lost"
            continue
        dscp = _number(settings, "DSCP")
        if not 1 <= _number(settings, "PRIORITY") <= 7:
            yield f"{hosts}: no priority is paused (PRIORITY is {settings.get('PRIORITY', 'not set')})"
        if not 1 <= dscp <= 63:
            yield f"{hosts}: DSCP {settings.get('DSCP', 'that is not set')} is RDMA's, and everybody's"
    for hosts, files in target.groups:
        if ETHERNET in files and NCCL in files:
            dscp = _number(fabric.assignments(files[ETHERNET].content), "DSCP")
            told = fabric.assignments(files[NCCL].content)
            if _number(told, "NCCL_IB_TC") >> 2 != dscp:
                yield f"{hosts}: NCCL_IB_TC is {told.get('NCCL_IB_TC', 'not set')}, so its packets are not DSCP {dscp}"


def _marked(target: Target, context: Context) -> Iterator[str]:
    del context
    for hosts, settings in _ethernet(target):
        own, notices = _number(settings, "PRIORITY"), _number(settings, "CNP_PRIORITY")
        if not 1 <= notices <= 7:
            yield f"{hosts}: congestion notifications have no priority"
        elif notices == own or _number(settings, "CNP_DSCP") == _number(settings, "DSCP"):
            yield f"{hosts}: congestion notifications share priority {own} with what they tell of"
        kind = _number(settings, "TRAFFIC_CLASS")
        if kind < 0 or kind & 3 not in (1, 2):
            yield f"{hosts}: TRAFFIC_CLASS {settings.get('TRAFFIC_CLASS', 'that is not set')} is not ECN-capable"


def _one_mtu(stack: Stack, context: Context) -> Iterator[str]:
    found: dict[int, set[str]] = {}
    for target in stack.roles():
        for hosts, settings in _ethernet(target):
            found.setdefault(_number(settings, "MTU"), set()).add(hosts)
    said = ", ".join(f"{mtu} on {','.join(sorted(hosts))}" for mtu, hosts in sorted(found.items()))
    if len(found) > 1 or any(mtu < context.settings["bytes"] for mtu in found):
        yield f"MTU {said}"


RULES = (
    Rule(
        id="fabric-default-rule",
        why="Without a rule for 0x7fff all ports are limited members, which cannot talk: a fabric-wide outage.",
        do="Begin partitions.conf with Default=0x7fff and make the subnet managers full members.",
        reference="opensm, doc/partition-config.txt",
        each=_default,
    ),
    Rule(
        id="fabric-default-limited",
        why="Full members of the default partition reach every tenant's ports.",
        do="Write ALL=limited, and SELF=full for the managers.",
        reference="NVIDIA InfiniBand key guide",
        each=_limited,
    ),
    Rule(
        id="fabric-partition-keys",
        why="Partitions with one key are one partition, and a key made up at each start is another after it.",
        do="Give each partition a key of its own, 0x0001 to 0x7ffe.",
        reference="opensm, doc/partition-config.txt",
        each=_keys_of_partitions,
    ),
    Rule(
        id="fabric-team-partitions",
        severity="advisory",
        why="One pkey per tenant keeps a team's traffic from another team's adapters.",
        do="Add a partition of the team's name where nodes belong to teams.",
        reference="NVIDIA InfiniBand key guide",
        whole=_teams,
    ),
    Rule(
        id="fabric-redundant-manager",
        why="Without a subnet manager no port comes up again, and no job starts that needs one.",
        do="Give the platform a second host with `duty: manager`.",
        reference="NVIDIA DGX SuperPOD reference architecture",
        settings={"hosts": 2},
        whole=_redundant,
    ),
    Rule(
        id="fabric-keys",
        why="Whoever knows the management key rewrites routes and partitions; the defaults are in the manual.",
        do="Set m_key, sa_key and sm_key by the placeholder of a secret.",
        reference="NVIDIA InfiniBand key guide",
        each=_management_key,
    ),
    Rule(
        id="fabric-key-protection",
        why="Below level 2 ports tell the key to anyone who asks, and without a lease a lost one locks them.",
        do="Set m_key_protection_level 2 and m_key_lease_period 60.",
        reference="NVIDIA InfiniBand key guide",
        settings={"seconds": 60},
        each=_protection,
    ),
    Rule(
        id="fabric-routing",
        why="opensm ends silently at minhop where an engine fails, and a fat tree loses half its bandwidth.",
        do="Name the engine and `no_fallback` in routing_engine.",
        reference="opensm, doc/current-routing.txt",
        each=_routing,
    ),
    Rule(
        id="fabric-ethernet-lossless",
        why="RDMA that loses one packet sends all that followed again; in everybody's priority it stops everybody.",
        do="Give RDMA a DSCP and a priority from 1 to 7 of its own, and NCCL_IB_TC that DSCP.",
        reference="NVIDIA Cumulus Linux user guide, RDMA over Converged Ethernet; NCCL, NCCL_IB_TC",
        each=_lossless,
    ),
    Rule(
        id="fabric-ethernet-ecn",
        why="PFC alone spreads one host's congestion over the fabric; marks slow down its senders before that.",
        do="Make RDMA's traffic class ECN-capable (DSCP x 4 + 2), and notify in a priority that nothing pauses.",
        reference="RFC 3168 5; NVIDIA Onyx user manual, RoCE Commands",
        each=_marked,
    ),
    Rule(
        id="fabric-ethernet-mtu",
        why="A host with a smaller MTU drops what others send; below 4200 bytes RDMA's messages are cut small.",
        do="Set one `mtu` for the fabric, 9000.",
        reference="InfiniBand Architecture Specification, annex A17 (RoCEv2): messages of 4096 bytes and headers",
        settings={"bytes": 4200},
        whole=_one_mtu,
    ),
)
