"""A fabric as the text that `ibnetdiscover` prints: what cable checkers and the simulator `ibsim` read.

The grammar is that of rdma-core's infiniband-diags/ibnetdiscover.c (`dump_topology`); ibsim's reader is
ibsim/sim_net.c. Only GUIDs are unique there: names are whatever somebody set.
"""

from __future__ import annotations

import hashlib
import re
from collections import defaultdict
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

from platform_iac.fabric.model import Adapter, Switch

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from platform_iac.fabric.model import Cable, Fabric

Node = Switch | Adapter
Ends = list[tuple[int, str, int, int]]
"""A node's own port, the peer's name and port, and the rate in Gb/s, in order of the own port."""

LINKS: Final = {
    10: "4xSDR",
    20: "4xDDR",
    40: "4xQDR",
    56: "4xFDR",
    100: "4xEDR",
    200: "4xHDR",
    400: "4xNDR",
    800: "4xXDR",
}
"""How four lanes of each generation are written, by Gb/s."""

LANE_GBPS: Final = {
    "SDR": 2.5,
    "DDR": 5.0,
    "QDR": 10.0,
    "FDR10": 10.0,
    "FDR": 14.0,
    "EDR": 25.0,
    "HDR": 50.0,
    "NDR": 100.0,
    "XDR": 200.0,
}
"""What one lane of each generation carries, in Gb/s."""

SIMULATOR_GBPS: Final = 200
"""The fastest link that ibsim 0.10 can show, 4xHDR; it takes 4xNDR for an error and falls back to 4xSDR."""

VENDOR: Final = 0x2C9
SWITCH_DEVICE: Final = 0xD2F2
"""PCI device number of the Quantum-2 switch; the reader of this text needs one, and nothing depends on it."""
ADAPTER_DEVICE: Final = 0x1021
"""PCI device number of ConnectX-7."""


PLACEHOLDER: Final = "02"
"""How a GUID begins that no vendor gave out: the second lowest bit of the first byte says so (IEEE 802, 8.2.2)."""


class DiscoveryError(ValueError):
    """A text is not what `ibnetdiscover` prints. Says the line and what is wrong there."""


def slowdown(fabric: Fabric) -> int:
    """Return the number by which every rate is divided so that the simulator can show the fastest: 2 for NDR."""
    fastest = max((cable.rate_gbps for cable in fabric.cables), default=0)
    return max(1, -(-fastest // SIMULATOR_GBPS))


def write(fabric: Fabric, *, divisor: int = 1) -> str:
    """Return the fabric as `ibnetdiscover` would print it when every cable is where it belongs.

    `divisor` divides every rate: `slowdown(fabric)` for a file that ibsim reads. GUIDs that only the hardware
    knows are placeholders (see `placeholder`), and a comment says so.
    """
    ends = _ends(fabric.cables)
    nodes: list[Node] = [*fabric.switches, *fabric.adapters]
    by_name = {node.name: node for node in nodes}
    lines = ["#", f"# Topology file: {len(fabric.switches)} switches, {len(fabric.adapters)} adapters as planned", "#"]
    if any(not node.guid for node in nodes):
        lines += [f"# GUIDs that begin with {PLACEHOLDER} stand for those that only the hardware knows", "#"]
    if divisor != 1:
        lines += [f"# All rates are divided by {divisor}", "#"]
    for node in nodes:
        lines += ["", *_record(node, ends[node.name], by_name, divisor)]
    return "\n".join(lines) + "\n"


def node_id(node: Node) -> str:
    """Return how this text names a node, `S-<guid>` or `H-<guid>`: also what ibsim's clients take as SIM_HOST."""
    return f"{'S' if isinstance(node, Switch) else 'H'}-{node_guid(node)}"


def node_guid(node: Node) -> str:
    """Return the GUID of a node as 16 hexadecimal digits.

    An adapter's is one less than that of its port, as ibsim counts ports on from their node (sim_net.c, init_ports).
    """
    guid = node.guid or placeholder(node.name)
    return guid if isinstance(node, Switch) else f"{int(guid, 16) - 1:016x}"


def placeholder(name: str) -> str:
    """Return what stands for a GUID until the hardware is there: always the same for the same name."""
    return f"{PLACEHOLDER}{hashlib.sha256(name.encode()).hexdigest()[:13]}1"


def _ends(cables: Iterable[Cable]) -> Mapping[str, Ends]:
    found: defaultdict[str, Ends] = defaultdict(list)
    for cable in cables:
        found[cable.a].append((cable.a_port, cable.b, cable.b_port, cable.rate_gbps))
        found[cable.b].append((cable.b_port, cable.a, cable.a_port, cable.rate_gbps))
    for ends in found.values():
        ends.sort()
    return found


def _record(node: Node, ends: Ends, by_name: Mapping[str, Node], divisor: int) -> Iterator[str]:
    guid = node_guid(node)
    switch = isinstance(node, Switch)
    yield f"vendid=0x{VENDOR:x}"
    yield f"devid=0x{SWITCH_DEVICE if switch else ADAPTER_DEVICE:x}"
    yield f"sysimgguid=0x{guid}"
    if isinstance(node, Switch):
        yield f"switchguid=0x{guid}({guid})"
        yield f'Switch\t{node.ports} "{node_id(node)}"\t\t# "{node.name}" enhanced port 0 lid 0 lmc 0'
    else:
        ports = max((port for port, *_ in ends), default=1)
        yield f"caguid=0x{guid}"
        yield f'Ca\t{ports} "{node_id(node)}"\t\t# "{node.name}"'
    for port, name, peer_port, rate in ends:
        peer = by_name[name]
        near = "" if switch else f"({_port_guid(node, port)}) "
        far = "" if isinstance(peer, Switch) else f"({_port_guid(peer, peer_port)}) "
        lids = "" if switch else "lid 0 lmc 0 "
        link = f'{lids}"{name}" lid 0 {_link(rate, divisor)}'
        yield f'[{port}]{near}\t"{node_id(peer)}"[{peer_port}]{far}\t\t# {link}'


def _port_guid(node: Node, port: int) -> str:
    return f"{int(node_guid(node), 16) + port:016x}"


def _link(rate_gbps: int, divisor: int) -> str:
    """Return width and speed for a rate: the slowest generation of four lanes that carries it."""
    wanted = rate_gbps / divisor
    return next((text for gbps, text in LINKS.items() if gbps >= wanted), "4xXDR")


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """A node that was discovered. `id` is unique; `name` is its node description, whatever somebody set."""

    id: str
    kind: str
    """switch, ca or router."""
    name: str
    ports: int = 0
    """0 where the text only mentions the node as somebody's peer."""
    port_guids: tuple[str, ...] = ()

    @property
    def guid(self) -> str:
        """Its 16 hexadecimal digits; empty where the text names nodes otherwise, as hand-written ones do."""
        digits = self.id.partition("-")[2].lower()
        return digits.zfill(16) if re.fullmatch("[0-9a-f]{1,16}", digits) else ""


@dataclass(frozen=True, slots=True, kw_only=True, order=True)
class Link:
    """A link that was discovered, the lesser end first; `a` and `b` are ids of nodes."""

    a: str
    a_port: int
    b: str
    b_port: int
    text: str = ""
    """Width and speed as printed, such as `4xNDR`."""

    @property
    def gbps(self) -> float | None:
        """What it carries; None where the tool had no word for its speed, as older ones have none for NDR."""
        return gbps(self.text)


@dataclass(frozen=True, slots=True, kw_only=True)
class Discovery:
    """What `ibnetdiscover` saw: nodes by id, and each link once, sorted."""

    nodes: Mapping[str, Found]
    links: tuple[Link, ...]


def gbps(text: str) -> float | None:
    """Return what a link of this width and speed (`4xNDR`) carries; None where it is not said or has no name."""
    width, _, speed = text.partition("x")
    return int(width) * LANE_GBPS[speed] if width.isdigit() and speed in LANE_GBPS else None


HEADER: Final = re.compile(r'(Switch|Ca|Hca|Rt)\s+(\d+)\s+"([^"]+)"(?:\s*#\s*"(.*)")?')
PORT: Final = re.compile(
    r"\[(\d+)\](?:\[ext \d+\])?\s*(?:\(([0-9a-fA-F]+)\))?\s*"
    r'"([^"]+)"\[(\d+)\](?:\[ext \d+\])?\s*(?:\(([0-9a-fA-F]+)\))?(?:\s*#(.*))?'
)
SPEED: Final = re.compile(r"\b(\d+x(?:[A-Z]DR\d*|\?\?\?))(?=\s|$)")
NAME: Final = re.compile(r'"(.*)"')
KINDS: Final = {"Switch": "switch", "Ca": "ca", "Hca": "ca", "Rt": "router"}


def parse(text: str) -> Discovery:
    """Return what a text of `ibnetdiscover` says; the tool's warnings and comments between records are skipped.

    Raises:
        DiscoveryError: a line of a record cannot be read, contradicts another one, or there is no record at all.
    """
    nodes: dict[str, Found] = {}
    mentioned: dict[str, Found] = {}
    links: dict[tuple[str, int], tuple[tuple[str, int], str]] = {}
    node = None
    for number, line in enumerate(text.splitlines(), 1):
        if header := HEADER.match(line):
            kind, ports, id, name = header.groups()
            if id in nodes:
                raise DiscoveryError(f"line {number}: {id} is described twice — is this the output of two runs?")
            node = nodes[id] = Found(id=id, kind=KINDS[kind], name=name or id, ports=int(ports))
        elif line.startswith("["):
            port = PORT.match(line)
            if node is None or port is None:
                raise DiscoveryError(f"line {number}: this is no port of a node: {line[:80]!r}")
            own, own_guid, id, far, far_guid, comment = port.groups()
            if own_guid:
                node = nodes[node.id] = replace(node, port_guids=(*node.port_guids, own_guid.lower().zfill(16)))
            mentioned[id] = _mentioned(id, far_guid, comment or "")
            speed = SPEED.findall(comment or "")
            _connect(links, (node.id, int(own)), (id, int(far)), speed[-1] if speed else "", number)
        elif not line.strip():
            node = None
    if not nodes:
        raise DiscoveryError("there is no node in it — is it what `ibnetdiscover` printed?")
    return Discovery(
        nodes=dict(sorted((mentioned | nodes).items())),
        links=tuple(
            Link(a=a, a_port=a_port, b=b, b_port=b_port, text=speed)
            for (a, a_port), ((b, b_port), speed) in sorted(links.items())
            if (a, a_port) < (b, b_port)
        ),
    )


def _mentioned(id: str, guid: str | None, comment: str) -> Found:
    """Return what a port's line says of its peer, for a text that lacks the peer's own record."""
    name = NAME.search(comment)
    kind = {"S": "switch", "R": "router"}.get(id.partition("-")[0], "ca")
    guids = (guid.lower().zfill(16),) if guid else ()
    return Found(id=id, kind=kind, name=name[1] if name else id, port_guids=guids)


def _connect(
    links: dict[tuple[str, int], tuple[tuple[str, int], str]],
    near: tuple[str, int],
    far: tuple[str, int],
    speed: str,
    number: int,
) -> None:
    for one, other in ((near, far), (far, near)):
        known, _ = links.get(one, (other, ""))
        if known != other:
            raise DiscoveryError(
                f"line {number}: port {one[1]} of {one[0]} has a cable to port {known[1]} of {known[0]} elsewhere"
            )
    seen = [text for text in (links.get(near, (far, ""))[1], speed) if text]
    slower = min(seen, key=lambda text: gbps(text) or 0.0, default="")
    links[near], links[far] = (far, slower), (near, slower)
