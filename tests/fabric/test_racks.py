"""Racks, cable lengths and media: what stands where, how far it is, and what can be bought for it."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from functools import cache
from typing import Any

import pytest

from platform_iac.fabric import tree
from platform_iac.fabric.media import MEDIA, ReachError, choose
from platform_iac.fabric.model import Fabric
from platform_iac.fabric.racks import Layout, LayoutError, Place, distance_m, place
from platform_iac.fabric.sizes import Wish
from tests.fabric.small import fabric


def superpod(nodes: int) -> Fabric:
    ends = [
        tree.End(host=f"gpu{number:04}", devices=tuple(f"mlx5_{rail}" for rail in range(8)), rate_gbps=400)
        for number in range(1, nodes + 1)
    ]
    return tree.plan("infiniband", Wish(rails=8, radix=64, unit=32), ends)


def test_a_unit_stands_around_its_leaves_four_hosts_a_rack() -> None:
    placed = place(superpod(127))
    hosts = {adapter.host: adapter.rack for adapter in placed.adapters if adapter.rail}
    assert set(Counter(hosts.values()).values()) == {4, 3}  # the last unit gives a node's slot to the managers
    assert [hosts[f"gpu{n:04}"] for n in (1, 4, 5, 16, 17, 32)] == ["A01", "A01", "A02", "A04", "A06", "A09"]
    leaves = {leaf.name: leaf.rack for leaf in placed.of_tier("leaf")}
    assert {leaves[f"leaf-01-{rail}"] for rail in range(1, 9)} == {"A05"}
    assert {rack[0] for rack in (*hosts.values(), *leaves.values())} == {"A", "C"}


def test_spines_and_managers_stand_in_the_row_between_the_units() -> None:
    placed = place(superpod(127))
    assert {spine.rack for spine in placed.of_tier("spine")} == {"B10"}
    assert {adapter.rack for adapter in placed.adapters if not adapter.rail} == {"B11"}


def test_three_tiers_have_a_pods_spines_amid_its_units_and_the_cores_amid_the_pods() -> None:
    placed = place(superpod(512))
    rows = {tier: {switch.rack[:-2] for switch in placed.of_tier(tier)} for tier in ("leaf", "spine", "core")}
    assert not rows["leaf"] & rows["spine"]
    assert not rows["core"] & (rows["leaf"] | rows["spine"])
    pods = {spine.group for spine in placed.of_tier("spine")}
    assert len(pods) > 1
    assert all(len({s.rack[:-2] for s in placed.of_tier("spine") if s.group == pod}) == 1 for pod in pods)


@pytest.mark.parametrize("nodes", [31, 127, 512])
def test_every_cable_is_long_enough_and_of_a_medium_that_is_sold_in_that_length(nodes: int) -> None:
    placed, layout = place(superpod(nodes)), Layout()
    racks = {a.name: a.rack for a in placed.adapters} | {s.name: s.rack for s in placed.switches}
    sold = {medium.name: medium.lengths_m for limit, media in MEDIA if limit == 400 for medium in media}
    for cable in placed.cables:
        assert cable.length_m in sold[cable.medium], cable
        assert cable.length_m >= distance_m(spot(racks[cable.a]), spot(racks[cable.b]), layout), cable


@cache
def spot(name: str) -> Place:
    """The place that is called so, found without the code that named it."""
    return next(Place(row, column) for row in range(60) for column in range(30) if Place(row, column).name == name)


def test_no_rack_holds_more_than_the_layout_allows() -> None:
    layout = Layout(hosts_per_rack=2, switches_per_rack=4)
    placed = place(superpod(127), layout)
    hosts = Counter(rack for rack in {a.host: a.rack for a in placed.adapters if a.rail}.values())
    assert max(hosts.values()) == 2
    network = Counter(
        [*(s.rack for s in placed.switches), *{a.host: a.rack for a in placed.adapters if not a.rail}.values()]
    )
    assert max(network.values()) == 4


def test_only_places_lengths_and_media_are_filled_in() -> None:
    plan = superpod(31)
    placed = place(plan)
    assert (
        replace(
            placed,
            switches=tuple(replace(switch, rack="", rack_u=0) for switch in placed.switches),
            adapters=tuple(replace(adapter, rack="", rack_u=0) for adapter in placed.adapters),
            cables=tuple(replace(cable, length_m=0.0, medium="") for cable in placed.cables),
        )
        == plan
    )
    assert place(plan) == placed


def test_a_cable_follows_the_trays() -> None:
    layout = Layout(rack_pitch_m=0.6, row_pitch_m=3, rise_m=1.5, within_rack_m=1.5, slack_m=0.5)
    assert distance_m(Place(0, 0), Place(0, 0), layout) == 2.5
    assert distance_m(Place(0, 0), Place(0, 1), layout) == pytest.approx(4.6)
    assert distance_m(Place(0, 9), Place(2, 4), layout) == pytest.approx(5 * 0.6 + 2 * 3 + 3 + 1)


@pytest.mark.parametrize(
    ("rate", "distance", "switches", "bought"),
    [
        (400, 2.5, False, ("DAC", 2.5)),
        (400, 3.1, False, ("ACC", 4)),
        (400, 5.1, False, ("MPO multimode", 7)),
        (400, 50, True, ("MPO multimode", 50)),
        (400, 50.1, False, ("MPO single mode", 60)),
        (400, 120, True, ("MPO single mode", 150)),
        (200, 2.1, False, ("AOC", 3)),
        (100, 4.5, False, ("DAC", 5)),
        (25, 0.3, False, ("DAC", 0.5)),
        (800, 1, True, ("MPO single mode", 3)),
    ],
)
def test_the_cheapest_medium_that_reaches_is_bought(
    rate: int, distance: float, switches: bool, bought: tuple[str, float]
) -> None:
    assert choose(rate, distance, between_switches=switches) == bought


def test_what_reaches_no_more_is_refused_with_the_longest_there_is() -> None:
    with pytest.raises(ReachError, match=r"120\.0 m at 400 Gb/s — the longest cable has 100 m"):
        choose(400, 120, between_switches=False)
    with pytest.raises(ReachError, match="the longest cable has 500 m"):
        choose(400, 501, between_switches=True)
    with pytest.raises(LayoutError, match=r"from rack B11 to .* bring the rows nearer"):
        place(superpod(127), Layout(row_pitch_m=600))


def test_racks_are_named_as_on_a_floor_plan() -> None:
    assert [Place(row, 0).name for row in (0, 25, 26, 51, 52)] == ["A01", "Z01", "AA01", "AZ01", "BA01"]
    assert Place(1, 19).name == "B20"


def test_leaves_without_units_or_hosts_without_leaves_are_no_trouble() -> None:
    bare = fabric(units=1)
    assert place(replace(bare, adapters=(), cables=())).switches[0].rack
    assert place(replace(bare, switches=(), cables=())).adapters[0].rack


def test_hosts_stand_from_the_bottom_up_and_switches_from_the_top_down() -> None:
    placed = place(superpod(127))
    heights = {one.host: one.rack_u for one in placed.adapters}
    assert [heights[f"gpu000{n}"] for n in (1, 2, 3, 4, 5)] == [1, 9, 17, 25, 1]
    assert [one.rack_u for one in placed.of_tier("leaf")[:8]] == [48, 47, 46, 45, 44, 43, 42, 41]


@pytest.mark.parametrize(("leaves", "expected"), [("amid", "A05"), ("first", "A01"), ("last", "A09")])
def test_leaves_stand_where_the_layout_says(leaves: Any, expected: str) -> None:
    placed = place(superpod(31), Layout(leaves=leaves))
    assert {one.rack for one in placed.of_tier("leaf")} == {expected}


def test_fewer_units_share_a_row_that_is_short() -> None:
    rows = [{one.rack[0] for one in place(superpod(63), Layout(racks_per_row=n)).of_tier("leaf")} for n in (20, 12)]
    assert [len(found) for found in rows] == [1, 2]


def test_a_measured_length_stands_in_the_place_of_the_trays() -> None:
    placed = place(superpod(31), Layout(lengths_m={"leaf_spine": 18}))
    assert {one.length_m for one in placed.of_layer("leaf_spine")} == {20}
    assert {one.length_m for one in placed.of_layer("node_leaf")} == {5, 7}


def test_a_layout_by_hand_is_taken_as_it_is() -> None:
    wired = superpod(3)
    leaves = tuple(one.name for one in wired.switches)
    racks = {"C02": ("gpu0003", "gpu0001"), "C03": ("gpu0002", "manager-1", "manager-2"), "C05": leaves}
    placed = place(wired, Layout(racks=racks))
    assert {one.host: (one.rack, one.rack_u) for one in placed.adapters} == {
        "gpu0003": ("C02", 1),
        "gpu0001": ("C02", 9),
        "gpu0002": ("C03", 1),
        "manager-1": ("C03", 9),
        "manager-2": ("C03", 17),
    }
    assert {one.rack for one in placed.switches} == {"C05"}


NO_HALL = [
    ({"racks_per_row": 8}, "unit 1 takes 9 racks for 32 hosts and its leaves, a row has 8 — take `hosts_per_rack: 5`"),
    ({"racks_per_row": 4, "rack_u": 42}, "takes 9 racks .* a row has 4 — take `racks_per_row: 9`, or smaller units"),
    ({"rows": 2, "units_per_row": 1}, "with 4 hosts a rack it takes 3 rows, the hall has 2 — take `rows: 3`"),
    ({"rows": 2, "racks_per_row": 14}, "takes 3 rows, the hall has 2 — take `hosts_per_rack: 6` or `rows: 3`"),
    ({"hosts_per_rack": 6, "rack_u": 42}, "rack A01 has 42 units and is to hold 48: 6 hosts of 8 .* — 5 hosts fit"),
    ({"racks": {"A01": ("gpu0099",)}}, "racks.A01: `gpu0099` is not on the fabric — take it out"),
    ({"racks": {"A01": ("gpu0001",), "B01": ("gpu0001",)}}, "`gpu0001` stands in A01 and in B01 — name one rack"),
    ({"racks": {"A01": ("gpu0001",)}}, "of 89 hosts and switches stand in no rack .* — add them to `racks`"),
    ({"lengths_m": {"leaf_spine": 501}}, "the longest cable has 500 m"),
]


@pytest.mark.parametrize(("layout", "message"), NO_HALL)
def test_a_hall_that_does_not_hold_it_is_told_with_what_does(layout: dict[str, Any], message: str) -> None:
    with pytest.raises(LayoutError, match=message):
        place(superpod(63), Layout(**layout))


@pytest.mark.parametrize("name", ["A01", "Z99", "AA07", "BC12"])
def test_a_rack_is_found_by_its_name(name: str) -> None:
    assert Place.named(name).name == name


@pytest.mark.parametrize("name", ["", "A1", "A00", "a01", "ABC01", "07A"])
def test_what_names_no_rack_is_refused(name: str) -> None:
    with pytest.raises(LayoutError, match="is no rack"):
        Place.named(name)
