"""The routes that a subnet manager has chosen: does every port reach every other, and how full are the cables?

Read from the switches' forwarding tables as `dump_fts` and opensm's `opensm-lfts.dump` print them
(infiniband-diags/dump_fts.c; opensm/osm_dump.c): nothing is inferred from a ping that went through.
"""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from platform_iac.fabric.model import Cable

Port = tuple[str, int]
"""A node's name and the number of one of its ports."""
Tables = dict[str, dict[str, int]]
"""For each switch, the port by which it sends what is for a node, by the node's name."""

MOST_HOPS: Final = 64
"""More switches than any packet may pass (IBA 1.3, 14.2.1.2): a route this long goes in circles."""

_HEAD = re.compile(r"^Unicast lids \[.*\] of switch .*\('?(?P<name>[^')]+)'?\)")
_ROW = re.compile(r"^0x[0-9a-f]{4} (?P<port>\d{3}) .*portguid 0x[0-9a-f]{16}: '(?P<name>[^']+)'")


class RouteError(ValueError):
    """A destination is not reached. Says where the way ends."""


@dataclass(frozen=True, slots=True)
class Load:
    """How many routes of a pattern share one direction of a cable."""

    largest: int
    mean: float
    """Over the directions of cables between switches that the pattern could use, idle ones too."""
    where: Port | None
    """The switch and port that send into the fullest one; None where no cable between switches is used."""


def tables(text: str) -> Tables:
    """Return the forwarding tables of every switch that `text` has, by node descriptions.

    Raises:
        ValueError: it holds no table.
    """
    found: Tables = {}
    rows: dict[str, int] | None = None
    for line in text.splitlines():
        if head := _HEAD.match(line):
            rows = found.setdefault(head["name"], {})
        elif rows is not None and (row := _ROW.match(line)):
            rows[row["name"]] = int(row["port"])
    if not found:
        raise ValueError("no forwarding table in the text — give what dump_fts or opensm-lfts.dump says")
    return found


class Network:
    """Cables and forwarding tables together. Ways are remembered: from one switch to one node there is one."""

    def __init__(self, cables: Iterable[Cable], forwarding: Tables) -> None:
        self._tables = forwarding
        self._far: dict[Port, Port] = {}
        for cable in cables:
            here, there = (cable.a, cable.a_port), (cable.b, cable.b_port)
            self._far[here], self._far[there] = there, here
        self._ways: dict[Port | tuple[str, str], tuple[Port, ...]] = {}

    def way(self, source: str, destination: str) -> tuple[Port, ...]:
        """Return the switch ports that a packet leaves by, in order, from one adapter to another.

        Raises:
            RouteError: it is not delivered; with the switch where its way ends.
        """
        if (source, 1) not in self._far:
            raise RouteError(f"{source} has no cable")
        return self._from(self._far[source, 1][0], destination)

    def _from(self, switch: str, destination: str) -> tuple[Port, ...]:
        if (switch, destination) in self._ways:
            return self._ways[switch, destination]
        here, way = switch, []
        while here != destination:
            port = self._tables.get(here, {}).get(destination, 0)
            if port == 0:
                raise RouteError(f"{here} has no route to {destination}")
            if (here, port) not in self._far:
                raise RouteError(f"{here} sends what is for {destination} to port {port}, which has no cable")
            way.append((here, port))
            here = self._far[here, port][0]
            if here not in self._tables and here != destination:
                raise RouteError(f"what is for {destination} ends at {here}")
            if len(way) > MOST_HOPS:
                raise RouteError(f"what is for {destination} goes in circles through {here}")
        self._ways[switch, destination] = tuple(way)
        return self._ways[switch, destination]

    def lost(self, names: Sequence[str]) -> list[str]:
        """Return a sentence for every ordered pair of these adapters that has no route; none is what should be."""
        sentences = []
        for source in names:
            for destination in names:
                if source != destination:
                    try:
                        self.way(source, destination)
                    except RouteError as error:
                        sentences.append(f"{source} to {destination}: {error}")
        return sentences

    def load(self, pairs: Iterable[tuple[str, str]]) -> Load:
        """Return how the routes of `pairs` share the cables between switches.

        The last port of a way belongs to the destination itself, which no routing can spare.
        """
        counted = Counter(port for pair in pairs for port in self.way(*pair)[:-1])
        between = sum(near[0] in self._tables and far[0] in self._tables for near, far in self._far.items())
        if not counted:
            return Load(0, 0.0, None)
        where, largest = min(counted.items(), key=lambda item: (-item[1], item[0]))
        return Load(largest, counted.total() / between, where)


def all_to_all(names: Sequence[str]) -> list[tuple[str, str]]:
    """Every port sends to every other."""
    return [(source, destination) for source in names for destination in names if source != destination]


def shift(names: Sequence[str], by: int) -> list[tuple[str, str]]:
    """Each port sends to the one `by` places after it: one step of an all-to-all, or of a ring."""
    return [(source, names[(place + by) % len(names)]) for place, source in enumerate(names)]


def worst_shift(network: Network, names: Sequence[str]) -> tuple[int, Load]:
    """Return the shift that fills a cable most, and its load. A largest load of 1 blocks nobody.

    Raises:
        ValueError: there are fewer than two ports to shift.
    """
    found: Mapping[int, Load] = {by: network.load(shift(names, by)) for by in range(1, len(names))}
    if not found:
        raise ValueError("a shift needs two ports or more")
    by = max(found, key=lambda step: (found[step].largest, -step))
    return by, found[by]
