"""Where everything stands, and so how long each cable is.

As in NVIDIA's DGX SuperPOD: the hosts of a scalable unit fill racks on both sides of the racks with its
leaf switches; spines, cores and managers stand in network racks, in rows between the units they serve.
Racks are named by row and place as on a floor plan (ANSI/TIA-606): `B07` is the seventh of the second row.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, replace
from functools import cache
from typing import TYPE_CHECKING, TypeVar

from platform_iac.fabric.media import ReachError, choose

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from platform_iac.fabric.model import Fabric, Switch

T = TypeVar("T")


class LayoutError(ValueError):
    """The hall cannot be cabled as it is laid out. Says what to change."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Layout:
    """A hall: what fits into a rack and how far racks are apart. Lengths are in metres.

    The defaults are those of DGX SuperPOD with H100: four systems a rack, eight such racks a unit.
    """

    nodes_per_rack: int = 4
    switches_per_rack: int = 16
    units_per_row: int = 2
    racks_per_row: int = 20
    """Network racks of a row; a unit is never torn apart, however many racks it fills."""
    rack_pitch_m: float = 0.6
    row_pitch_m: float = 3.0
    rise_m: float = 1.5
    """From a port up to the tray over its rack, and down again at the other end."""
    within_rack_m: float = 1.5
    slack_m: float = 0.5
    """Left over at each end, to dress the cable and to plug it in another port."""


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


def place(fabric: Fabric, layout: Layout | None = None) -> Fabric:
    """Return the fabric with every rack, and with the length to buy and the medium of every cable.

    Raises:
        LayoutError: two ports are farther apart than any cable of their rate reaches.
    """
    hall = layout or Layout()
    places = _places(fabric, hall)
    switches = {switch.name for switch in fabric.switches}
    adapters = {adapter.name: adapter.host for adapter in fabric.adapters}

    @cache
    def buy(rate_gbps: int, near: Place, far: Place, *, between_switches: bool) -> tuple[str, float]:
        try:
            return choose(rate_gbps, distance_m(near, far, hall), between_switches=between_switches)
        except ReachError as error:
            raise LayoutError(f"from rack {near.name} to {far.name} it is {error}; bring the rows nearer") from error

    cables = []
    for cable in fabric.cables:
        near, far = places[adapters.get(cable.a, cable.a)], places[adapters.get(cable.b, cable.b)]
        both = cable.a in switches and cable.b in switches
        medium, length = buy(cable.rate_gbps, near, far, between_switches=both)
        cables.append(replace(cable, medium=medium, length_m=length))
    return replace(
        fabric,
        switches=tuple(replace(switch, rack=places[switch.name].name) for switch in fabric.switches),
        adapters=tuple(replace(adapter, rack=places[adapter.host].name) for adapter in fabric.adapters),
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
    """Return where every switch and every host stands, row after row: pods, with the cores amid them."""
    units = _units(fabric)
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
            [rack for unit in some for rack in _unit_racks(units[unit], layout)]
            for some in _parts(members, layout.units_per_row)
        ]
        half = -(-len(unit_rows) // 2)
        rows += [*unit_rows[:half], *_network_rows(spines, layout), *unit_rows[half:]]
    return {
        name: Place(row, column) for row, racks in enumerate(rows) for column, rack in enumerate(racks) for name in rack
    }


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
    hosts = _parts(unit[0], layout.nodes_per_rack)
    half = -(-len(hosts) // 2)
    return [*hosts[:half], *_parts(unit[1], layout.switches_per_rack), *hosts[half:]]


def _network_rows(names: Sequence[str], layout: Layout) -> list[list[Sequence[str]]]:
    """Return rows of network racks, each indented so that it stands amid the unit racks of the other rows."""
    rows = [list(row) for row in _parts(_parts(names, layout.switches_per_rack), layout.racks_per_row)]
    return [[[]] * ((layout.racks_per_row - len(row)) // 2) + row for row in rows]


def _parts(items: Iterable[T], size: int) -> list[Sequence[T]]:
    every = list(items)
    return [every[start : start + size] for start in range(0, len(every), size)]
