"""Where everything stands, and so how long each cable is.

As in NVIDIA's DGX SuperPOD: the hosts of a scalable unit fill racks on both sides of the racks with its
leaf switches; spines, cores and managers stand in network racks, in rows between the units they serve.
Racks are named by row and place as on a floor plan (ANSI/TIA-606): `B07` is the seventh of the second row. A hall that
is otherwise has another `Layout`, down to what stands in each of its racks.
"""

from __future__ import annotations

import re
from collections import defaultdict
from dataclasses import dataclass, field, replace
from functools import cache
from typing import TYPE_CHECKING, Final, Literal, Self, TypeVar

from platform_iac.fabric.media import ReachError, choose

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from platform_iac.fabric.model import Fabric, Layer, Switch

T = TypeVar("T")


class LayoutError(ValueError):
    """The hall cannot be cabled as it is laid out. Says what to change."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Layout:
    """A hall: what fits into a rack and how far racks are apart. Lengths are in metres, heights in rack units.

    The defaults are those of DGX SuperPOD with H100: four systems of 8 units a rack, eight such racks a unit.
    """

    hosts_per_rack: int = 4
    switches_per_rack: int = 16
    units_per_row: int = 2
    """At most; fewer where a row has not so many racks."""
    racks_per_row: int = 20
    rows: int = 0
    """Rows of the hall; 0 takes as many as it needs."""
    leaves: Literal["amid", "first", "last"] = "amid"
    """Where the racks with a unit's leaves stand among those with its hosts."""
    rack_u: int = 48
    host_u: int = 8
    switch_u: int = 1
    racks: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """What stands where, by the rack's name: hosts and switches. Empty follows the rule above."""
    lengths_m: Mapping[Layer, float] = field(default_factory=dict)
    """Measured lengths by layer, in the place of those along the trays."""
    rack_pitch_m: float = 0.6
    row_pitch_m: float = 3.0
    rise_m: float = 1.5
    """From a port up to the tray over its rack, and down again at the other end."""
    within_rack_m: float = 1.5
    slack_m: float = 0.5
    """Left over at each end, to dress the cable and to plug it in another port."""


NAME: Final = re.compile(r"([A-Z]{1,2})((?!00)[0-9]{2})")
"""A rack: row and place."""


@dataclass(frozen=True, slots=True)
class Place:
    """A rack on the floor: its row and its place in the row, both from 0."""

    row: int
    column: int

    @property
    def name(self) -> str:
        """Row in letters, place in digits: `A01`, `Z20`, `AA01`."""
        letters, rest = "", self.row + 1
        while rest:
            rest, letter = divmod(rest - 1, 26)
            letters = chr(ord("A") + letter) + letters
        return f"{letters}{self.column + 1:02}"

    @classmethod
    def named(cls, name: str) -> Self:
        """Return the place of this name.

        Raises:
            LayoutError: it is no name of a rack.
        """
        if (found := NAME.fullmatch(name)) is None:
            raise LayoutError(f"{name[:20]!r} is no rack — write its row in letters and its place in digits: `B07`")
        row = 0
        for letter in found[1]:
            row = row * 26 + ord(letter) - ord("A") + 1
        return cls(row - 1, int(found[2]) - 1)


def place(fabric: Fabric, layout: Layout | None = None) -> Fabric:
    """Return the fabric with every rack and height in it, and with the length to buy and the medium of every cable.

    Raises:
        LayoutError: the hall does not hold it, or two ports are farther apart than any cable of their rate reaches.
    """
    hall = layout or Layout()
    places = _given(fabric, hall) if hall.racks else _places(fabric, hall)
    heights = _heights(fabric, places, hall)
    switches = {switch.name for switch in fabric.switches}
    adapters = {adapter.name: adapter.host for adapter in fabric.adapters}

    @cache
    def buy(rate_gbps: int, layer: Layer, near: Place, far: Place, *, between_switches: bool) -> tuple[str, float]:
        try:
            metres = hall.lengths_m.get(layer) or distance_m(near, far, hall)
            return choose(rate_gbps, metres, between_switches=between_switches)
        except ReachError as error:
            raise LayoutError(f"from rack {near.name} to {far.name} it is {error}; bring the rows nearer") from error

    cables = []
    for cable in fabric.cables:
        near, far = places[adapters.get(cable.a, cable.a)], places[adapters.get(cable.b, cable.b)]
        both = cable.a in switches and cable.b in switches
        medium, length = buy(cable.rate_gbps, cable.layer, near, far, between_switches=both)
        cables.append(replace(cable, medium=medium, length_m=length))
    return replace(
        fabric,
        switches=tuple(replace(one, rack=places[one.name].name, rack_u=heights[one.name]) for one in fabric.switches),
        adapters=tuple(replace(one, rack=places[one.host].name, rack_u=heights[one.host]) for one in fabric.adapters),
        cables=tuple(cables),
    )


def distance_m(near: Place, far: Place, layout: Layout) -> float:
    """Return how long a cable between two racks has to be: along the trays, not across."""
    ends = 2 * layout.slack_m
    if near == far:
        return layout.within_rack_m + ends
    along = abs(near.column - far.column) * layout.rack_pitch_m + abs(near.row - far.row) * layout.row_pitch_m
    return along + 2 * layout.rise_m + ends


def _places(fabric: Fabric, layout: Layout) -> Mapping[str, Place]:
    """Return where every switch and every host stands, row after row: pods, with the cores amid them.

    Raises:
        LayoutError: a unit does not fit a row, or all of it the hall; with what does.
    """
    rows = _rows(fabric, layout)
    if layout.rows and len(rows) > layout.rows:
        denser = (replace(layout, hosts_per_rack=count) for count in range(1, layout.rack_u // layout.host_u + 1))
        ways = [f"`hosts_per_rack: {one.hosts_per_rack}`" for one in denser if _row_count(fabric, one) <= layout.rows]
        raise LayoutError(
            f"with {layout.hosts_per_rack} hosts a rack it takes {len(rows)} rows, the hall has {layout.rows} — "
            f"take {' or '.join([*ways[:1], f'`rows: {len(rows)}`'])}"
        )
    return {
        name: Place(row, column) for row, racks in enumerate(rows) for column, rack in enumerate(racks) for name in rack
    }


def _row_count(fabric: Fabric, layout: Layout) -> int:
    try:
        return len(_rows(fabric, layout))
    except LayoutError:
        return layout.rows + 1


def _rows(fabric: Fabric, layout: Layout) -> list[list[Sequence[str]]]:
    """Return what stands in every rack of every row."""
    units = _units(fabric)
    per_row = _units_per_row(units, layout)
    managers = list(dict.fromkeys(adapter.host for adapter in fabric.adapters if adapter.rail == 0))
    pods = _pods(fabric, sorted(units))
    middle = [*(switch.name for switch in fabric.of_tier("core")), *managers]
    if len(pods) == 1:
        pods, middle = [(pods[0][0], [*pods[0][1], *middle])], []
    rows: list[list[Sequence[str]]] = []
    for number, (members, spines) in enumerate(pods):
        if number == len(pods) // 2:
            rows += _network_rows(middle, layout)
        unit_rows = [
            [rack for unit in some for rack in _unit_racks(units[unit], layout)] for some in _parts(members, per_row)
        ]
        half = -(-len(unit_rows) // 2)
        rows += [*unit_rows[:half], *_network_rows(spines, layout), *unit_rows[half:]]
    return rows


def _units_per_row(units: Mapping[int, tuple[list[str], list[str]]], layout: Layout) -> int:
    """Return how many units share a row; none is torn apart."""
    racks, number = max(
        ((len(_unit_racks(unit, layout)), number) for number, unit in sorted(units.items())),
        key=lambda found: found[0],
        default=(1, 0),
    )
    if racks > layout.racks_per_row:
        leaves = -(-len(units[number][1]) // layout.switches_per_rack)
        hosts = len(units[number][0])
        most = layout.rack_u // layout.host_u
        needed = -(-hosts // (layout.racks_per_row - leaves)) if layout.racks_per_row > leaves else most + 1
        ways = [f"`hosts_per_rack: {needed}`"] if needed <= most else []
        raise LayoutError(
            f"unit {number} takes {racks} racks for {hosts} hosts and its leaves, a row has {layout.racks_per_row} — "
            f"take {' or '.join([*ways, f'`racks_per_row: {racks}`'])}, or smaller units"
        )
    return min(layout.units_per_row, layout.racks_per_row // racks)


def _given(fabric: Fabric, layout: Layout) -> Mapping[str, Place]:
    """Return where the layout says that every switch and every host stands.

    Raises:
        LayoutError: something stands nowhere or twice, or is not on the fabric.
    """
    known = dict.fromkeys([*(one.name for one in fabric.switches), *(one.host for one in fabric.adapters)])
    places: dict[str, Place] = {}
    for rack, names in layout.racks.items():
        for name in names:
            if name not in known:
                raise LayoutError(f"racks.{rack}: `{name}` is not on the fabric — take it out")
            if name in places:
                raise LayoutError(f"`{name}` stands in {places[name].name} and in {rack} — name one rack")
            places[name] = Place.named(rack)
    if missing := [name for name in known if name not in places]:
        some = ", ".join(missing[:3]) + (", …" if len(missing) > 3 else "")
        raise LayoutError(
            f"{len(missing)} of {len(known)} hosts and switches stand in no rack ({some}) — add them to `racks`"
        )
    return places


def _heights(fabric: Fabric, places: Mapping[str, Place], layout: Layout) -> Mapping[str, int]:
    """Return the lowest rack unit of everything: hosts from the bottom up, switches from the top down.

    Raises:
        LayoutError: a rack is not high enough.
    """
    switches = {one.name for one in fabric.switches}
    bottom: defaultdict[Place, int] = defaultdict(int)
    top: defaultdict[Place, int] = defaultdict(int)
    found = {}
    for name, place in places.items():
        if name in switches:
            top[place] += layout.switch_u
            found[name] = layout.rack_u - top[place] + 1
        else:
            found[name] = bottom[place] + 1
            bottom[place] += layout.host_u
    for place in [*bottom, *top]:
        if (used := bottom[place] + top[place]) > layout.rack_u:
            hosts, free = bottom[place] // layout.host_u, layout.rack_u - top[place]
            fit = (
                f"{max(0, free) // layout.host_u} hosts fit"
                if hosts
                else f"{layout.rack_u // layout.switch_u} switches fit"
            )
            raise LayoutError(
                f"rack {place.name} has {layout.rack_u} units and is to hold {used}: {hosts} hosts of {layout.host_u} "
                f"and {top[place] // layout.switch_u} switches of {layout.switch_u} — {fit}"
            )
    return found


def _units(fabric: Fabric) -> Mapping[int, tuple[list[str], list[str]]]:
    """Return hosts and leaves of every scalable unit."""
    found: defaultdict[int, tuple[list[str], list[str]]] = defaultdict(lambda: ([], []))
    hosts = dict.fromkeys((adapter.host, adapter.group) for adapter in fabric.adapters if adapter.rail)
    placed = set()
    for host, group in hosts:
        if host not in placed:  # a host whose ports hang on two units stands in the first
            found[group][0].append(host)
            placed.add(host)
    for leaf in fabric.of_tier("leaf"):
        found[leaf.group][1].append(leaf.name)
    return found


def _pods(fabric: Fabric, units: Sequence[int]) -> Sequence[tuple[Sequence[int], Sequence[str]]]:
    """Return for every pod its units and its spines; two tiers are one pod."""
    spines: defaultdict[int, list[str]] = defaultdict(list)
    for spine in fabric.of_tier("spine"):
        spines[spine.group].append(spine.name)
    if len(spines) <= 1:
        return [(units, next(iter(spines.values()), []))]
    by_name: Mapping[str, Switch] = {switch.name: switch for switch in fabric.switches}
    above: dict[int, int] = {}
    for cable in fabric.of_layer("leaf_spine"):
        above.setdefault(by_name[cable.a].group, by_name[cable.b].group)
    return [([unit for unit in units if above.get(unit) == pod], spines[pod]) for pod in sorted(spines)]


def _unit_racks(unit: tuple[list[str], list[str]], layout: Layout) -> list[Sequence[str]]:
    """Return the racks of a unit from left to right: half of the hosts, the leaves, the other half."""
    hosts = _parts(unit[0], layout.hosts_per_rack)
    half = {"amid": -(-len(hosts) // 2), "first": 0, "last": len(hosts)}[layout.leaves]
    return [*hosts[:half], *_parts(unit[1], layout.switches_per_rack), *hosts[half:]]


def _network_rows(names: Sequence[str], layout: Layout) -> list[list[Sequence[str]]]:
    """Return rows of network racks, each indented so that it stands amid the unit racks of the other rows."""
    rows = [list(row) for row in _parts(_parts(names, layout.switches_per_rack), layout.racks_per_row)]
    return [[[]] * ((layout.racks_per_row - len(row)) // 2) + row for row in rows]


def _parts(items: Iterable[T], size: int) -> list[Sequence[T]]:
    every = list(items)
    return [every[start : start + size] for start in range(0, len(every), size)]
