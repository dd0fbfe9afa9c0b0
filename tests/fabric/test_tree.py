"""Fabrics come out as published, and hold together for any numbers that can be cabled."""

from __future__ import annotations

from collections import Counter

import pytest

from platform_iac.fabric.sizes import FabricError, Wish, size
from platform_iac.fabric.tree import End, plan
from tests.fabric.shapes import cables, counts, hold, nodes, ratio, wired

PUBLISHED = [(31, 8, 4, 252, 256), (63, 16, 8, 508, 512), (95, 24, 16, 764, 768), (127, 32, 16, 1020, 1024)]
"""Nodes, leaves, spines, node and manager cables, leaf-spine cables: NVIDIA DGX SuperPOD, H100."""


@pytest.mark.parametrize(("count", "leaves", "spines", "ends", "uplinks"), PUBLISHED)
def test_the_published_tables_come_out(count: int, leaves: int, spines: int, ends: int, uplinks: int) -> None:
    fabric = wired(count, unit=32)
    found = cables(fabric)
    assert counts(fabric) == (leaves, spines, 0)
    assert (found["node_leaf"], found["manager"], found["leaf_spine"]) == (count * 8, 4, uplinks)
    assert found["node_leaf"] + found["manager"] == ends
    assert (fabric.tiers, fabric.end_ports, fabric.blocking) == (2, uplinks, 1.0)
    hold(fabric)


@pytest.mark.parametrize("units", [9, 16, 31, 33, 64, 65, 128, 251, 256])
def test_three_tiers_have_as_many_spines_as_leaves_and_half_as_many_cores(units: int) -> None:
    fabric = wired(units * 32 - 1, unit=32)
    ends = units * 32 * 8
    assert counts(fabric) == (ends // 32, ends // 32, ends // 64)
    assert cables(fabric) == {"node_leaf": ends - 8, "manager": 4, "leaf_spine": ends, "spine_core": ends}
    assert fabric.tiers == 3
    if units <= 65:
        hold(fabric)


def test_two_tiers_end_at_half_the_square_of_the_radix_and_three_at_a_quarter_of_its_cube() -> None:
    for radix in (8, 16, 32, 64):
        most = size(Wish(rails=4, radix=radix, manager_cables=0), radix**2 // 8)
        assert (most.tiers, most.end_ports, most.leaves) == (2, radix**2 // 2, radix)
        assert size(Wish(rails=4, radix=radix, manager_cables=0), radix**2 // 8 + 1).tiers == 3
        large = size(Wish(rails=4, radix=radix, manager_cables=0), radix**3 // 16)
        assert (large.tiers, large.end_ports) == (3, radix**3 // 4)
        with pytest.raises(FabricError, match="do not fit 3 tiers"):
            size(Wish(rails=4, radix=radix, manager_cables=0), radix**3 // 16 + 1)


def test_a_rail_of_every_node_of_a_unit_is_on_one_leaf_of_its_own() -> None:
    fabric = wired(40, unit=32)
    leaf_of = {cable.a: cable.b for cable in fabric.of_layer("node_leaf")}
    for adapter in fabric.adapters:
        if adapter.rail:
            number = int(adapter.host[1:]) - 1
            assert leaf_of[adapter.name] == f"leaf-{number // 32 + 1:02}-{adapter.rail}"
    assert {(leaf.group, leaf.rail) for leaf in fabric.of_tier("leaf")} == {(u, r) for u in (1, 2) for r in range(1, 9)}


def test_all_ports_of_a_node_are_on_one_leaf_of_a_classic_fat_tree() -> None:
    fabric = wired(40, design="fat-tree")
    of_host = {(cable.a.split()[0], cable.b) for cable in fabric.of_layer("node_leaf")}
    assert len(of_host) == 40
    assert set(Counter(leaf for _, leaf in of_host).values()) == {4}
    assert {leaf.rail for leaf in fabric.of_tier("leaf")} == {0}
    hold(fabric)


@pytest.mark.parametrize("design", ["rail-optimised", "fat-tree"])
@pytest.mark.parametrize("radix", [8, 16, 32, 36, 40, 64, 128])
def test_any_number_of_rails_units_and_nodes_can_be_plugged(radix: int, design: str) -> None:
    tried = 0
    for rails in range(1, 9):
        half = radix // 2
        units = {half, half // 2, max(1, half - 3)} if design == "rail-optimised" else {0, 3 * (half // rails)}
        for unit in sorted(units):
            for count in (1, half - 1, 3 * half, radix * half // rails // 2 + 1, 2 * radix * half // rails // 3):
                if count < 1 or count > 700 or (design == "fat-tree" and rails > half):
                    continue
                try:
                    fabric = wired(count, radix=radix, rails=rails, unit=unit, design=design)
                except FabricError as error:
                    assert "do not fit 3 tiers" in str(error)
                    continue
                hold(fabric)
                assert {cable.layer for cable in fabric.cables} >= {"node_leaf", "leaf_spine", "manager"}
                tried += 1
    assert tried > 20


@pytest.mark.parametrize("leaves", range(66, 2049, 83))
def test_any_number_of_leaves_goes_under_cores(leaves: int) -> None:
    hold(wired(leaves * 4 - 4, radix=16, rails=1, unit=4, tiers=3) if leaves <= 128 else wired(leaves, rails=8))


@pytest.mark.parametrize(
    ("radix", "blocking", "down", "up"),
    [(64, "3:1", 48, 16), (40, "3:2", 24, 16), (36, "2:1", 24, 12), (8, "3:1", 6, 2)],
)
@pytest.mark.parametrize("units", [1, 5, 11])
def test_a_blocking_fabric_has_fewer_uplinks(radix: int, blocking: str, down: int, up: int, units: int) -> None:
    fabric = wired(units * down - 2, radix=radix, rails=2, blocking=ratio(blocking))
    leaves = counts(fabric)[0]
    assert (leaves, cables(fabric)["leaf_spine"]) == (2 * units, 2 * units * up)
    assert fabric.blocking == down / up
    hold(fabric)


def test_a_unit_smaller_than_a_leaf_leaves_ports_empty_and_says_so() -> None:
    fabric = wired(31, unit=16)
    assert counts(fabric) == (16, 4, 0)
    assert fabric.end_ports == cables(fabric)["leaf_spine"] == 256
    assert "a leaf uses 16 of its 32 ports for nodes" in fabric.notes
    hold(fabric)


def test_managers_take_the_last_slot_and_share_the_cables() -> None:
    hosts = [End(host=name, devices=("mlx5_0", "mlx5_1"), rate_gbps=400) for name in ("ufm1", "ufm2")]
    fabric = plan("infiniband", Wish(rails=8, radix=64), nodes(31), hosts)
    assert [(one.a, one.b, one.b_port) for one in fabric.of_layer("manager")] == [
        ("ufm1 mlx5_0", "leaf-01-1", 32),
        ("ufm2 mlx5_0", "leaf-01-2", 32),
        ("ufm1 mlx5_1", "leaf-01-3", 32),
        ("ufm2 mlx5_1", "leaf-01-4", 32),
    ]
    hold(fabric)


def test_managers_without_hosts_have_cables_all_the_same() -> None:
    fabric = wired(31)
    assert {one.a for one in fabric.of_layer("manager")} == {
        f"manager-{number} mlx5_{port}" for number in (1, 2) for port in (0, 1)
    }
    assert {adapter.rail for adapter in fabric.adapters if adapter.host.startswith("manager")} == {0}


def test_without_manager_cables_a_unit_is_all_nodes() -> None:
    fabric = wired(32, manager_cables=0)
    assert (counts(fabric), cables(fabric)["manager"], fabric.end_ports) == ((8, 4, 0), 0, 256)
    hold(fabric)


def test_more_manager_cables_than_rails_take_more_slots() -> None:
    assert counts(wired(30, manager_cables=9)) == (8, 4, 0)
    assert counts(wired(31, manager_cables=9)) == (16, 8, 0)
    hold(wired(30, manager_cables=16))


def test_hosts_with_few_ports_share_a_slot() -> None:
    storage = [End(host=f"stor{number}", devices=("mlx5_0", "mlx5_1"), rate_gbps=200) for number in range(4)]
    fabric = plan("infiniband", Wish(rails=8, radix=64), [*nodes(30), *storage])
    assert counts(fabric) == (8, 4, 0)
    at = [(one.b, one.b_port, one.rate_gbps) for one in fabric.of_layer("node_leaf") if one.a.startswith("stor")]
    assert at == [(f"leaf-01-{rail}", 31, 200) for rail in range(1, 9)]
    assert {one.rate_gbps for one in fabric.of_layer("leaf_spine")} == {400}
    hold(fabric)


def test_a_node_more_adds_cables_and_moves_none() -> None:
    few, more = wired(40, manager_cables=0), wired(41, manager_cables=0)
    assert set(few.cables) < set(more.cables)
    assert {one.a.split()[0] for one in set(more.cables) - set(few.cables)} == {"n0041"}


def test_a_size_that_does_not_share_out_names_those_near_that_do() -> None:
    notes = " ".join(wired(2048).notes)
    assert "do not share out evenly" in notes
    assert "2,047 or 4,095 nodes come out even" in notes
    assert not any("evenly:" in note for note in wired(2047).notes)


REFUSED = [
    ({"radix": 63}, 8, "63 ports of a switch cannot be halved — take `radix: 62` or 64"),
    ({"radix": 2}, 8, "none to build a fabric of — take `radix: 8`"),
    ({"unit": 40}, 8, "a unit of 40 nodes .* which have 32 — take `unit: 32`"),
    ({"tiers": 2}, 256, "256 nodes with 8 rails do not fit 2 tiers .* take 255 nodes at most or `tiers: 3`"),
    ({}, 8192, "do not fit 3 tiers of 64-port switches — take 8,191 nodes at most or `radix: 128`"),
    ({"radix": 8, "rails": 8, "tiers": 2}, 4, "take 3 nodes at most or `tiers: 3`"),
    ({"radix": 4, "rails": 8, "tiers": 2}, 4, "do not fit 2 tiers of 4-port switches — "),
    ({"blocking": ratio("2:1")}, 8, r"cannot be shared out 2:1 — take `blocking: 1.90909` \(21:11\) or 2.04762"),
    ({"blocking": ratio("3:1"), "unit": 10}, 8, "no whole number of uplinks at 3:1 blocking — take `unit: 9` or 12"),
    (
        {"design": "fat-tree", "rails": 4, "radix": 40, "blocking": ratio("3:1")},
        8,
        r"28 end ports .* 3:1 blocking — take `blocking: 2.33333` \(7:3\) or 4 \(4:1\)",
    ),
    ({"radix": 32, "blocking": ratio("31:2")}, 8, r"shared out 31:2 — take `blocking: 15` \(15:1\)"),
    (
        {"radix": 63, "unit": 40, "blocking": ratio("3:1")},
        8,
        "take `radix: 62` or 64, and leave `unit`, `tiers` and `blocking` out",
    ),
    ({"design": "fat-tree", "unit": 30}, 8, "which take 4 nodes each — take `unit: 28` or 32"),
    (
        {"design": "fat-tree", "radix": 8, "rails": 5},
        8,
        "do not fit the 4 ports down of one leaf — take `design: rail-opt",
    ),
    ({"rails": 0}, 0, "without rails connects nothing — "),
]


@pytest.mark.parametrize(("wish", "count", "message"), REFUSED)
def test_what_cannot_be_cabled_says_why_and_names_the_nearest_that_can(
    wish: dict[str, object], count: int, message: str
) -> None:
    with pytest.raises(FabricError, match=message):
        wired(count, **wish)


def test_a_host_with_more_ports_than_rails_is_told() -> None:
    with pytest.raises(FabricError, match="`n0001` has 8 ports for 4 rails — take `rails: 8`"):
        plan("infiniband", Wish(rails=4, radix=64), nodes(3, rails=8))


def test_an_adapter_with_two_cables_is_told() -> None:
    manager = End(host="n0002", devices=("mlx5_0", "mlx5_9"), rate_gbps=400)
    with pytest.raises(FabricError, match="`n0002 mlx5_0` would have two cables — name every port of `n0002` once"):
        plan("infiniband", Wish(rails=8, radix=64, manager_cables=2), nodes(3), [manager])
    twice = End(host="n0004", devices=("mlx5_0", "mlx5_0"), rate_gbps=400)
    with pytest.raises(FabricError, match="`n0004 mlx5_0` would have two cables"):
        plan("infiniband", Wish(rails=8, radix=64), [*nodes(3), twice])


def test_managers_with_too_few_ports_are_told() -> None:
    one = End(host="sm1", devices=("mlx5_0",), rate_gbps=400)
    with pytest.raises(FabricError, match=r"4 manager cables .* have 1 — take `manager_cables: 1`"):
        plan("infiniband", Wish(rails=8, radix=64), nodes(3), [one])


def test_the_same_input_gives_the_same_fabric() -> None:
    assert wired(300) == wired(300)
