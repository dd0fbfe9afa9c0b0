"""The configuration of every switch as SONiC's `config load` takes it, on top of what its own platform has.

Tables and keys: sonic-net/sonic-buildimage, src/sonic-yang-models (PORT, INTERFACE, BGP_*, ROUTE_*, PORT_QOS_MAP, …)
and files/build_templates/qos_config.j2, whose names (`AZURE`) are kept so that the platform's own buffers still apply.
BGP is that of `frr_mgmt_framework_config`: only it redistributes. What depends on the model of a switch (lanes, buffer
pools, profiles of lossless buffers) stays the platform's; it computes headroom from CABLE_LENGTH.
"""

from __future__ import annotations

import json
from collections import defaultdict
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping
    from ipaddress import IPv4Address

    from platform_iac.fabric.model import Cable, Fabric, Switch
    from platform_iac.kinds.fabric.ethernet.addresses import Addresses
    from platform_iac.kinds.fabric.ethernet.spec import Lossless, Spec

TYPES: Final = {"leaf": "ToRRouter", "spine": "LeafRouter", "core": "SpineRouter"}
"""What SONiC calls a switch by its tier."""

MTU: Final = 9216
"""More than any host sends (`mtu` is 9100 at most), so that a switch never drops what a host could."""

MAP: Final = "AZURE"
PROFILE: Final = "AZURE_LOSSLESS"
QUEUES: Final = 8
PATHS: Final = 256
"""The most ways of equal cost that the table takes."""


class _End:
    """A port of one switch: what is at the other end of its cable."""

    def __init__(self, cable: Cable, *, above: bool, addresses: Addresses, peers: Mapping[str, Switch]) -> None:
        link = addresses.link(cable)
        self.port, self.peer, self.peer_port = (
            (cable.b_port, cable.a, cable.a_port) if above else (cable.a_port, cable.b, cable.b_port)
        )
        self.own: IPv4Address = link.b if above else link.a
        self.far: IPv4Address = link.a if above else link.b
        self.switch = peers.get(self.peer)
        self.rate_gbps, self.length_m = cable.rate_gbps, cable.length_m


def configurations(spec: Spec, fabric: Fabric, addresses: Addresses) -> Iterator[tuple[str, str]]:
    """Yield name and configuration of every switch, in the order of the fabric."""
    switches = {switch.name: switch for switch in fabric.switches}
    width = lanes(spec, fabric)
    ends: defaultdict[str, list[_End]] = defaultdict(list)
    for cable in fabric.cables:
        ends[cable.b].append(_End(cable, above=True, addresses=addresses, peers=switches))
        if cable.a in switches:
            ends[cable.a].append(_End(cable, above=False, addresses=addresses, peers=switches))
    for switch in fabric.switches:
        found = sorted(ends[switch.name], key=lambda end: end.port)
        yield switch.name, json.dumps(_tables(spec, switch, found, addresses, width), indent=1) + "\n"


def lanes(spec: Spec, fabric: Fabric) -> int:
    """Return the lanes of a port: one number for the fabric, as its switches are alike, whatever hangs on a port."""
    return spec.lanes or (8 if max((cable.rate_gbps for cable in fabric.cables), default=0) >= 400 else 4)


def port_name(port: int, width: int) -> str:
    """Return what SONiC calls a port of `width` lanes: all lanes of a switch are counted, and a port has its first."""
    return f"Ethernet{(port - 1) * width}"


def _tables(spec: Spec, switch: Switch, ends: list[_End], addresses: Addresses, width: int) -> dict[str, Any]:
    names = {end.port: port_name(end.port, width) for end in ends}
    return {
        "DEVICE_METADATA": {
            "localhost": {
                "hostname": switch.name,
                "type": TYPES[switch.tier],
                "docker_routing_config_mode": "unified",
                "frr_mgmt_framework_config": "true",
            }
        },
        "PORT": {
            names[end.port]: {
                "admin_status": "up",
                "description": f"{end.peer} port {end.peer_port}" if end.switch else end.peer,
                "mtu": str(MTU),
                "speed": str(end.rate_gbps * 1000),
            }
            for end in ends
        },
        "CABLE_LENGTH": {MAP: {names[end.port]: f"{_whole(end.length_m)}m" for end in ends}},
        "LOOPBACK_INTERFACE": {"Loopback0": {}, f"Loopback0|{addresses.own(switch)}/32": {}},
        "INTERFACE": {key: {} for end in ends for key in (names[end.port], f"{names[end.port]}|{end.own}/31")},
        **_routing(switch, ends, addresses),
        **_quality(spec.lossless, list(names.values())),
    }


def _whole(metres: float) -> int:
    """A length that SONiC takes: whole metres, rounded up; buffers for a longer cable hold for a shorter one."""
    return max(1, -int(-metres // 1))


def _routing(switch: Switch, ends: Iterable[_End], addresses: Addresses) -> dict[str, Any]:
    """BGP with every switch at the other end of a cable; a leaf stands for its hosts by one prefix."""
    neighbours = [(end, end.switch) for end in ends if end.switch]
    tables: dict[str, Any] = {
        "BGP_GLOBALS": {
            "default": {
                "local_asn": str(addresses.asn(switch)),
                "router_id": str(addresses.own(switch)),
                "load_balance_mp_relax": "true",
            }
        },
        "BGP_GLOBALS_AF": {"default|ipv4_unicast": {"max_ebgp_paths": str(PATHS)}},
        "ROUTE_MAP_SET": {"ALL": {}},
        "ROUTE_MAP": {"ALL|10": {"route_operation": "permit"}},
        "BGP_NEIGHBOR": {
            f"default|{end.far}": {
                "asn": str(addresses.asn(peer)),
                "local_addr": str(end.own),
                "name": peer.name,
                "admin_status": "up",
            }
            for end, peer in neighbours
        },
        "BGP_NEIGHBOR_AF": {
            # Without a policy FRR neither takes nor gives a route from or to another AS (RFC 8212).
            f"default|{end.far}|ipv4_unicast": {
                "admin_status": "true",
                "route_map_in": ["ALL"],
                "route_map_out": ["ALL"],
            }
            for end, _ in neighbours
        },
        "ROUTE_REDISTRIBUTE": {"default|connected|bgp|ipv4": {}},
    }
    if switch.tier == "leaf":
        prefix = f"default|ipv4_unicast|{addresses.hosts(switch)}"
        tables["BGP_GLOBALS_AF_AGGREGATE_ADDR"] = {prefix: {"summary_only": "true"}}
    return tables


def _quality(lossless: Lossless, ports: Iterable[str]) -> dict[str, Any]:
    """Priorities of RDMA and of congestion notifications, ECN, PFC on one priority, and its watchdog."""
    own, notices = lossless.priority, lossless.cnp_priority
    classes = {lossless.dscp: own, lossless.cnp_dscp: notices}
    same = {str(number): str(number) for number in range(QUEUES)}
    thresholds = {
        f"{colour}_{limit}_threshold": str(value * 1000)
        for colour in ("green", "yellow", "red")
        for limit, value in (("min", lossless.ecn_from_kb), ("max", lossless.ecn_all_kb))
    }
    return {
        "DSCP_TO_TC_MAP": {MAP: {str(dscp): str(classes.get(dscp, 0)) for dscp in range(64)}},
        "TC_TO_QUEUE_MAP": {MAP: same},
        "TC_TO_PRIORITY_GROUP_MAP": {MAP: {key: key if int(key) == own else "0" for key in same}},
        "MAP_PFC_PRIORITY_TO_QUEUE": {MAP: same},
        "SCHEDULER": {
            "scheduler.0": {"type": "DWRR", "weight": "50"},
            "scheduler.1": {"type": "DWRR", "weight": "50"},
            "scheduler.2": {"type": "STRICT"},
        },
        "WRED_PROFILE": {
            PROFILE: {
                "ecn": "ecn_all",
                **{f"wred_{colour}_enable": "true" for colour in ("green", "yellow", "red")},
                # What is marked, with `ecn`, and not dropped: all from the upper threshold on, as Cumulus Linux has it.
                **{f"{colour}_drop_probability": "100" for colour in ("green", "yellow", "red")},
                **thresholds,
            }
        },
        "PORT_QOS_MAP": {
            "global": {"dscp_to_tc_map": MAP},
            **{
                port: {
                    "dscp_to_tc_map": MAP,
                    "tc_to_queue_map": MAP,
                    "tc_to_pg_map": MAP,
                    "pfc_to_queue_map": MAP,
                    "pfc_enable": str(own),
                    "pfcwd_sw_enable": str(own),
                }
                for port in ports
            },
        },
        "QUEUE": {
            key: value
            for port in ports
            for key, value in (
                (f"{port}|0", {"scheduler": "scheduler.0"}),
                (f"{port}|{own}", {"scheduler": "scheduler.1", "wred_profile": PROFILE}),
                (f"{port}|{notices}", {"scheduler": "scheduler.2"}),
            )
        },
        # A host that pauses for ever would stop its leaf, and then the fabric. Times are milliseconds.
        "PFC_WD": {
            "GLOBAL": {"POLL_INTERVAL": "200"},
            **{port: {"action": "drop", "detection_time": "200", "restoration_time": "200"} for port in ports},
        },
    }
