"""Plan against discovery: which cables are swapped, moved, missing, surplus or slow, in people's words.

Every port has at most one planned cable and at most one found. Where they differ they form chains and rings of
ports: a ring of two cables is a swap, a chain with as many found as planned cables is one that was moved
(or a row of them, shifted), and what is left over at a chain's end is missing or surplus. So one mistake of
a hand is one finding, however many ports show it.
"""

from __future__ import annotations

import re
from collections import defaultdict
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, Literal

from platform_iac.fabric.identify import Port, identify, planned_nodes, real, words
from platform_iac.fabric.model import Switch

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from platform_iac.fabric.ibnet import Discovery, Found, Link
    from platform_iac.fabric.model import Cable, Fabric

Kind = Literal["absent", "renamed", "replaced", "unknown", "swapped", "moved", "missing", "surplus", "down-rated"]
"""absent, renamed, replaced and unknown are about nodes, the others about cables."""

Edge = tuple[Port, Port]


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One thing that somebody has to put right. `where` is what to walk to, `ports` are all that it concerns."""

    kind: Kind
    where: str
    text: str
    ports: tuple[Port, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """What a comparison found, in the order of switches and ports."""

    findings: tuple[Finding, ...]
    planned: int
    right: int
    """Cables that are where they belong, slow ones among them."""
    notes: tuple[str, ...] = ()
    """What could not be judged."""


def compare(plan: Fabric, found: Discovery, *, divisor: int = 1) -> Report:
    """Return what is wrong in the discovered fabric.

    `divisor` is by how much a simulator's rates are too low: `ibnet.slowdown(plan)`, as its file was written.
    """
    return _Comparison(plan, found, divisor).report()


class _Comparison:
    def __init__(self, plan: Fabric, found: Discovery, divisor: int) -> None:
        self.plan, self.divisor = plan, divisor
        self.nodes = real(found)
        self.names = identify(plan, found)
        self.planned = planned_nodes(plan)
        self.cables: dict[Edge, Cable] = {
            _edge((cable.a, cable.a_port), (cable.b, cable.b_port)): cable for cable in plan.cables
        }
        self.links: dict[Edge, Link] = {
            _edge(self._port(link.a, link.a_port), self._port(link.b, link.b_port)): link
            for link in found.links
            if link.a in self.nodes and link.b in self.nodes
        }
        self.want = _other_ends(self.cables)
        self.have = _other_ends(self.links)

    def _port(self, id: str, port: int) -> Port:
        return (self.names.get(id, id), port)

    def report(self) -> Report:
        missing = self.planned.keys() - set(self.names.values())
        absent, gone = self._absent(missing)
        strangers = {id for id in self.nodes if id not in self.names}
        lost = {edge for edge in self.cables if edge not in self.links and not {edge[0][0], edge[1][0]} & gone}
        extra = {edge for edge in self.links if edge not in self.cables and not {edge[0][0], edge[1][0]} & strangers}
        slow, unnamed = self._slow()
        findings = [*absent, *self._names(), *self._strangers(strangers), *slow, *self._cables(lost, extra)]
        notes = []
        if unnamed:
            notes.append(
                f"the rate of {unnamed} cables is not known: this ibnetdiscover has no word for it — take a newer one"
            )
        return Report(
            findings=tuple(sorted(findings, key=lambda finding: (natural(finding.where), finding.kind, finding.text))),
            planned=len(self.cables),
            right=len(self.cables.keys() & self.links.keys()),
            notes=tuple(notes),
        )

    def _absent(self, missing: set[str]) -> tuple[list[Finding], set[str]]:
        """Switches, and hosts of several adapters, of which nothing was found: one finding, not one for each cable."""
        findings, gone = [], {name for name in missing if isinstance(self.planned[name], Switch)}
        ports: defaultdict[str, list[Port]] = defaultdict(list)
        for port, far in self.want.items():
            ports[port[0]].append(far)
        for name in gone:
            count = len(ports[name])
            text = f"{name}: not found, and so none of its {count} cables — is it off, or cut off?"
            findings.append(Finding(kind="absent", where=name, text=text, ports=((name, 0),)))
        hosts: defaultdict[str, list[str]] = defaultdict(list)
        for adapter in self.plan.adapters:
            hosts[adapter.host].append(adapter.name)
        for host, adapters in hosts.items():
            empty = sorted((port for name in adapters for port in ports[name] if port[0] not in gone), key=_port_key)
            if len(adapters) > 1 and missing.issuperset(adapters) and empty:
                text = f"{host}: none of its {len(adapters)} adapters was found ({_listed(empty)}) — is it off?"
                findings.append(Finding(kind="absent", where=host, text=text, ports=((host, 0),)))
                gone |= set(adapters)
        return findings, gone

    def _names(self) -> Iterator[Finding]:
        """Nodes that stand where they should under another name, or have another GUID than planned."""
        called: defaultdict[str, list[tuple[str, Found]]] = defaultdict(list)
        for id, name in self.names.items():
            found, node = self.nodes[id], self.planned[name]
            if name not in words(found.name):
                called[name if isinstance(node, Switch) else node.host].append((name, found))
            elif node.guid and node.guid.lower() not in (found.guid, *found.port_guids):
                guid = found.guid if isinstance(node, Switch) or not found.port_guids else found.port_guids[0]
                text = f"{name}: has GUID 0x{guid}, planned 0x{node.guid} — was it replaced? then change `guids`"
                yield Finding(kind="replaced", where=name, text=text, ports=((name, 0),))
        for where, renamed in called.items():
            names = ", ".join(
                f"{name} is called {_quoted(found)}" for name, found in sorted(renamed, key=lambda r: r[0])
            )
            text = f"{where}: {names} — not named yet, or another machine"
            yield Finding(kind="renamed", where=where, text=text, ports=tuple((name, 0) for name, _ in renamed))

    def _strangers(self, ids: set[str]) -> Iterator[Finding]:
        """Nodes that are in no plan, each with the ports that it hangs on."""
        hang: defaultdict[str, list[Port]] = defaultdict(list)
        for port, far in self.have.items():
            if far[0] in ids:
                hang[far[0]].append(port)
        for id in ids:
            ports = sorted(hang[id], key=_port_key)
            places = "; ".join(
                f"{self._said(port)}: planned {self._planned(port)}" for port in ports if port[0] not in ids
            )
            where = self._said(ports[0]) if ports else id
            text = f"{_quoted(self.nodes[id])}: in no plan, found in {places or _listed(ports) or 'no port'}"
            yield Finding(kind="unknown", where=where, text=text, ports=tuple(ports))

    def _slow(self) -> tuple[list[Finding], int]:
        findings, unnamed = [], 0
        for edge in self.cables.keys() & self.links.keys():
            cable, link = self.cables[edge], self.links[edge]
            if link.gbps is None:
                unnamed += 1
            elif (rate := link.gbps * self.divisor) < cable.rate_gbps:
                port = (cable.b, cable.b_port)
                shown = (
                    f"{link.text}, which stands for {rate:g} Gb/s"
                    if self.divisor > 1
                    else f"{rate:g} Gb/s ({link.text})"
                )
                text = f"{self._said(port)}: planned {cable.rate_gbps} Gb/s to {self._planned(port)}, found {shown}"
                findings.append(Finding(kind="down-rated", where=self._said(port), text=text, ports=(port,)))
        return findings, unnamed

    def _cables(self, lost: set[Edge], extra: set[Edge]) -> Iterator[Finding]:
        for chain in _chains(_other_ends(lost), _other_ends(extra)):
            ring = chain[0] == chain[-1]
            steps = [_edge(one, other) for one, other in pairwise(chain)]
            cables = [edge for edge in steps if edge in lost]
            links = [edge for edge in steps if edge in extra]
            if len(cables) > len(links):
                spare = self._left(cables[0], cables[-1])
                cables.remove(spare)
                yield self._finding("missing", [spare], [])
            elif len(links) > len(cables):
                spare = max(links[0], links[-1], key=lambda edge: [_port_key(port) for port in edge])
                links.remove(spare)
                yield self._finding("surplus", [], [spare])
            if cables:
                yield self._finding("swapped" if ring else "moved", cables, links)

    def _left(self, first: Edge, last: Edge) -> Edge:
        """Return the cable at a chain's end that is missing, where the lower end of the others has stayed in place."""
        lower = (self.cables[first].a, self.cables[first].a_port)
        return last if lower in self.have else first

    def _finding(self, kind: Kind, cables: list[Edge], links: list[Edge]) -> Finding:
        upper = [(self.cables[edge].b, self.cables[edge].b_port) for edge in cables]
        if kind == "missing" and upper[0] in self.have:  # something else is there: its lower end shows what lacks
            upper = [(self.cables[edge].a, self.cables[edge].a_port) for edge in cables]
        ports: list[Port] = []
        uncovered = {*cables, *links}
        wrong = sorted((port for edge in links for port in edge), key=lambda port: self._telling(port, cables))
        for port in [*sorted(upper, key=_port_key), *wrong]:
            shown = {edge for edge in uncovered if port in edge}
            if shown:
                ports.append(port)
                uncovered -= shown
        ports.sort(key=_port_key)
        views = [f"{self._said(port)}: planned {self._planned(port)}, found {self._found(port)}" for port in ports]
        text = "; ".join(views)
        if kind == "swapped" and len(ports) == 2:
            text = f"{views[0]} — swapped with {self._said(ports[1])}"
        elif kind == "swapped":
            text += f" — {len(cables)} cables in a ring"
        elif kind == "moved":
            text += " — one cable moved" if len(cables) == 1 else f" — {len(cables)} cables shifted"
        return Finding(kind=kind, where=self._said(ports[0]), text=text, ports=tuple(ports))

    def _telling(self, port: Port, cables: list[Edge]) -> tuple[bool, bool, object]:
        """Order the ends of a found cable: the one it should not be in before the one it has kept, switches first."""
        kept = any(port in edge for edge in cables)
        return kept, not isinstance(self.planned.get(port[0]), Switch), _port_key(port)

    def _planned(self, port: Port) -> str:
        return self._said(self.want[port]) if port in self.want else "nothing"

    def _found(self, port: Port) -> str:
        return self._said(self.have[port]) if port in self.have else "nothing"

    def _said(self, port: Port) -> str:
        """Return a port in words; an adapter's is its name, as it has one."""
        name, number = port
        node = self.planned.get(name)
        if isinstance(node, Switch):
            return f"{name} port {number}"
        if node is not None:
            return name if number == 1 else f"{name} port {number}"
        return f"{_quoted(self.nodes[name])} port {number}"


def natural(text: str) -> list[tuple[int, str]]:
    """Return a key that sorts `port 9` before `port 10`."""
    return [(int(part), "") if part.isdigit() else (-1, part) for part in re.split(r"(\d+)", text)]


def _port_key(port: Port) -> tuple[list[tuple[int, str]], int]:
    return natural(port[0]), port[1]


def _edge(one: Port, other: Port) -> Edge:
    return (one, other) if one <= other else (other, one)


def _other_ends(edges: Iterable[Edge]) -> dict[Port, Port]:
    ends: dict[Port, Port] = {}
    for one, other in edges:
        ends[one], ends[other] = other, one
    return ends


def _chains(lost: Mapping[Port, Port], extra: Mapping[Port, Port]) -> Iterator[list[Port]]:
    """Yield every chain and ring of ports that planned and found cables make in turn; a ring ends where it began."""
    seen: set[Port] = set()
    ports = sorted({*lost, *extra}, key=_port_key)
    for start in [*(port for port in ports if (port in lost) != (port in extra)), *ports]:
        if start in seen:
            continue
        chain, edges = [start], lost if start in lost else extra
        while chain[-1] in edges and (len(chain) == 1 or chain[-1] != start):
            chain.append(edges[chain[-1]])
            edges = extra if edges is lost else lost
        seen.update(chain)
        yield chain


def _quoted(node: Found) -> str:
    return f'"{node.name}" (0x{node.guid})' if node.guid else f'"{node.name}"'


def _listed(ports: Iterable[Port], most: int = 8) -> str:
    said = [f"{name} port {number}" for name, number in ports]
    return ", ".join(said[:most]) + (f" and {len(said) - most} more" if len(said) > most else "")
