"""Cable lists and DOT: what people plug by, and what other tools read."""

from __future__ import annotations

import csv
import io
import re
from collections import Counter
from dataclasses import replace

from platform_iac.fabric import dot, tables
from platform_iac.fabric.racks import place
from tests.fabric.small import fabric
from tests.fabric.test_racks import superpod

PLACED = place(superpod(127))


def read(text: str) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(text)))


def test_the_list_has_every_cable_with_everything_to_plug_it() -> None:
    rows = read(tables.whole(PLACED))
    assert len(rows) == 2044
    assert rows[2] == {
        "label_a": "gpu0001.mlx5_2/leaf-01-3.1",
        "rack_a": "A01",
        "a": "gpu0001 mlx5_2",
        "a_port": "1",
        "label_b": "leaf-01-3.1/gpu0001.mlx5_2",
        "rack_b": "A05",
        "b": "leaf-01-3",
        "b_port": "1",
        "length_m": "7",
        "medium": "MPO multimode",
        "rate_gbps": "400",
        "layer": "node_leaf",
    }
    assert all(row[column] for row in rows for column in row)


def test_labels_are_unique_short_and_printable() -> None:
    every = [label for cable in PLACED.cables for label in tables.labels(cable)]
    assert len(set(every)) == len(every)
    assert max(map(len, every)) <= 40
    assert all(re.fullmatch(r"[A-Za-z0-9_./-]+", label) for label in every)


def test_a_label_does_not_change_when_the_fabric_grows() -> None:
    small, large = place(superpod(31)), place(superpod(127))
    of_nodes = [{tables.labels(cable)[0] for cable in plan.of_layer("node_leaf")} for plan in (small, large)]
    assert of_nodes[0] <= of_nodes[1]


def test_an_adapter_with_two_ports_has_the_port_on_its_label() -> None:
    assert tables.end("gpu01 mlx5_0", 2) == "gpu01.mlx5_0.2"


def test_a_rack_lists_both_ends_port_by_port() -> None:
    racks = tables.by_rack(PLACED)
    assert list(racks)[:3] == ["A01", "A02", "A03"]
    ends = [row for text in racks.values() for row in read(text)]
    assert len(ends) == 2 * len(PLACED.cables)
    leaf = [row for row in read(racks["A05"]) if row["from"] == "leaf-01-3"]
    assert [int(row["port"]) for row in leaf] == list(range(1, 65))
    assert (leaf[0]["label"], leaf[0]["to_rack"]) == ("leaf-01-3.1/gpu0001.mlx5_2", "A01")


def test_markdown_says_what_to_buy_and_has_a_section_for_each_rack() -> None:
    text = tables.markdown(PLACED, "falcon")
    assert sum(int(count.replace(",", "")) for count, *_ in tables.bill(PLACED)) == 2044
    assert "| 256 | 400 | ACC | 5 |" in text
    assert re.findall(r"^## Rack (\w+)$", text, re.M) == sorted({*tables.racks(PLACED).values()})
    assert "### leaf-01-3\n" in text
    assert tables.markdown(PLACED, "falcon") == text


def test_a_cell_cannot_break_the_table() -> None:
    plan = fabric()
    odd = replace(plan, cables=(replace(plan.cables[0], medium='a|b,"c"'),))
    assert "a&#124;b" in tables.markdown(odd, "x")
    assert read(tables.whole(odd))[0]["medium"] == 'a|b,"c"'


EDGE = re.compile(r'  "((?:[^"\\]|\\.)*)":"((?:[^"\\]|\\.)*)" -- "((?:[^"\\]|\\.)*)":"((?:[^"\\]|\\.)*)"')


def test_dot_has_an_edge_for_each_cable_and_a_cluster_for_each_unit() -> None:
    text = dot.write(PLACED, "falcon")
    edges = [match.groups() for match in map(EDGE.fullmatch, text.splitlines()) if match]
    assert len(edges) == len(PLACED.cables)
    assert ("gpu0001", "mlx5_2", "leaf-01-3", "1") in edges
    clusters = re.findall(r'label="(.*)"', text)
    assert clusters == ["unit 1", "unit 2", "unit 3", "unit 4", "spines", "managers"]
    assert text.count("{") == text.count("}") == 1 + len(clusters)
    named = Counter(re.findall(r'^    "(.*)"$', text, re.M))
    assert set(named.values()) == {1}
    assert {name for edge in edges for name in (edge[0], edge[2])} == set(named)


def test_ports_are_called_as_their_kind_of_fabric_says() -> None:
    text = dot.write(fabric(), "x", {("gpu01 mlx5_0", 1): "enp24s0np0", ("leaf-01-1", 1): "Ethernet0"})
    assert '"gpu01":"enp24s0np0" -- "leaf-01-1":"Ethernet0"' in text
    assert '"gpu02":"mlx5_0" -- "leaf-01-1":"2"' in text


def test_dot_takes_no_name_for_syntax() -> None:
    assert dot.quoted('a"b\\c') == '"a\\"b\\\\c"'
