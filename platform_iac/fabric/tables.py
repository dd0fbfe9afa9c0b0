"""The cables as lists to work from: whole, by rack, and what to buy. Wants a fabric with racks (see `racks.place`)."""

from __future__ import annotations

import csv
import io
from collections import Counter, defaultdict
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from platform_iac.fabric.model import Cable, Fabric

COLUMNS: Final = (
    *("label_a", "rack_a", "a", "a_port", "label_b", "rack_b", "b", "b_port"),
    *("length_m", "medium", "rate_gbps", "layer"),
)
RACK_COLUMNS: Final = ("label", "port", "to_rack", "to", "to_port", "length_m", "medium", "rate_gbps")

Row = tuple[str, ...]


def end(name: str, port: int) -> str:
    """Return one end as it stands on a label: `leaf-01-3.12`, `gpu001.mlx5_2` for an adapter's only port."""
    host, space, device = name.partition(" ")
    if not space:
        return f"{name}.{port}"
    return f"{host}.{device}" if port == 1 else f"{host}.{device}.{port}"


def labels(cable: Cable) -> tuple[str, str]:
    """Return what to print for both ends, near end first (ANSI/TIA-606): the same for ever, whatever else is cabled."""
    a, b = end(cable.a, cable.a_port), end(cable.b, cable.b_port)
    return f"{a}/{b}", f"{b}/{a}"


def racks(fabric: Fabric) -> dict[str, str]:
    """Return the rack of every switch and adapter, by name."""
    return {node.name: node.rack for node in fabric.switches} | {node.name: node.rack for node in fabric.adapters}


def whole(fabric: Fabric) -> str:
    """Return every cable as CSV (RFC 4180 but for its line ends), in the order of the fabric."""
    return _csv(COLUMNS, _rows(fabric))


def by_rack(fabric: Fabric) -> Mapping[str, str]:
    """Return for every rack what is plugged there as CSV, switch by switch and port by port."""
    return {rack: _csv(("from", *RACK_COLUMNS), rows) for rack, rows in _by_rack(fabric).items()}


def elevations(fabric: Fabric) -> str:
    """Return what stands in every rack, from the top down, as CSV."""
    return _csv(("rack", "u", "what"), ((rack, str(unit), name) for rack, unit, name in _elevations(fabric)))


def _elevations(fabric: Fabric) -> list[tuple[str, int, str]]:
    found = {(one.rack, one.rack_u, one.name) for one in fabric.switches}
    found |= {(one.rack, one.rack_u, one.host) for one in fabric.adapters}
    return sorted(found, key=lambda one: (len(one[0]), one[0], -one[1]))


def markdown(fabric: Fabric, title: str) -> str:
    """Return what to buy, and for every rack what is plugged there."""
    between = f"{len(fabric.switches)} switches and {len(fabric.adapters):,} adapters"
    parts = [
        f"# Cables of {title}\n",
        f"{len(fabric.cables):,} cables between {between}.\n",
        *(f"- {note}\n" for note in fabric.notes),
        "## To buy\n",
        _markdown(("count", "rate Gb/s", "medium", "length m"), bill(fabric)),
    ]
    standing: defaultdict[str, list[Row]] = defaultdict(list)
    for rack, unit, name in _elevations(fabric):
        standing[rack].append((str(unit), name))
    for rack, rows in _by_rack(fabric).items():
        parts.append(f"## Rack {rack}\n")
        parts.append(_markdown(("unit", "what"), standing[rack]))
        devices: defaultdict[str, list[Row]] = defaultdict(list)
        for device, *row in rows:
            devices[device].append(tuple(row))
        for device, plugged in devices.items():
            parts += [f"### {device}\n", _markdown(RACK_COLUMNS, plugged)]
    return "\n".join(parts)


def bill(fabric: Fabric) -> list[Row]:
    """Return (count, rate, medium, length) of every sort of cable, the short ones first."""
    sorts = Counter((cable.rate_gbps, cable.length_m, cable.medium) for cable in fabric.cables)
    return [(f"{count:,}", str(rate), medium, f"{length:g}") for (rate, length, medium), count in sorted(sorts.items())]


def _rows(fabric: Fabric) -> Iterable[Row]:
    place = racks(fabric)
    for cable in fabric.cables:
        near, far = labels(cable)
        yield (
            *(near, place[cable.a], cable.a, str(cable.a_port)),
            *(far, place[cable.b], cable.b, str(cable.b_port)),
            *(f"{cable.length_m:g}", cable.medium, str(cable.rate_gbps), cable.layer),
        )


def _by_rack(fabric: Fabric) -> Mapping[str, Sequence[Row]]:
    place = racks(fabric)
    order = {name: number for number, name in enumerate(place)}
    found: defaultdict[str, list[tuple[int, int, Row]]] = defaultdict(list)
    for cable in fabric.cables:
        bought = (f"{cable.length_m:g}", cable.medium, str(cable.rate_gbps))
        near, far = labels(cable)
        for label, own, port, peer, peer_port in (
            (near, cable.a, cable.a_port, cable.b, cable.b_port),
            (far, cable.b, cable.b_port, cable.a, cable.a_port),
        ):
            row = (own, label, str(port), place[peer], peer, str(peer_port), *bought)
            found[place[own]].append((order[own], port, row))
    return {rack: [row for _, _, row in sorted(found[rack])] for rack in sorted(found, key=lambda r: (len(r), r))}


def _csv(columns: Row, rows: Iterable[Row]) -> str:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(columns)
    writer.writerows(rows)
    return text.getvalue()


def _markdown(columns: Row, rows: Iterable[Row]) -> str:
    lines = [columns, tuple("---" for _ in columns), *rows]
    return "".join(f"| {' | '.join(cell.replace('|', '&#124;') for cell in line)} |\n" for line in lines)
