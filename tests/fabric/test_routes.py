"""Routes walked hop by hop through forwarding tables written down by hand."""

from __future__ import annotations

import pytest

from platform_iac.fabric.model import Cable
from platform_iac.fabric.routes import Network, RouteError, Tables, all_to_all, shift, tables, worst_shift

NAMES = ("a mlx5_0", "b mlx5_0", "c mlx5_0", "d mlx5_0")
CABLES = (
    *(
        Cable(layer="node_leaf", a=name, a_port=1, b=leaf, b_port=port, rate_gbps=400)
        for name, leaf, port in zip(NAMES, ("leaf-1", "leaf-1", "leaf-2", "leaf-2"), (1, 2, 1, 2), strict=True)
    ),
    *(
        Cable(layer="leaf_spine", a=f"leaf-{leaf}", a_port=2 + spine, b=f"spine-{spine}", b_port=leaf, rate_gbps=400)
        for leaf in (1, 2)
        for spine in (1, 2)
    ),
)
GOOD: Tables = {
    "leaf-1": {NAMES[0]: 1, NAMES[1]: 2, NAMES[2]: 3, NAMES[3]: 4},
    "leaf-2": {NAMES[0]: 3, NAMES[1]: 4, NAMES[2]: 1, NAMES[3]: 2},
    "spine-1": {NAMES[0]: 1, NAMES[1]: 1, NAMES[2]: 2, NAMES[3]: 2},
    "spine-2": {NAMES[0]: 1, NAMES[1]: 1, NAMES[2]: 2, NAMES[3]: 2},
}

OF_OPENSM = """\
Unicast lids [0-3] of switch Lid 2 guid 0x000000000000a000 ('leaf-1'):
0x0001 004 # Channel Adapter portguid 0x0000000000d00001: 'd mlx5_0'
0x0002 000 # Switch portguid 0x000000000000a000: 'leaf-1'
2 lids dumped
"""
OF_DIAGS = """\
Unicast lids [0x0-0x3] of switch Lid 2 guid 0x000000000000a000 (leaf-1):
  Lid  Out   Destination
       Port     Info
0x0001 004 : (Channel Adapter portguid 0x0000000000d00001: 'd mlx5_0')
0x0002 000 : (Switch portguid 0x000000000000a000: 'leaf-1')
2 valid lids dumped
"""


def without(number: int) -> Tables:
    """The tables with one destination forgotten by one leaf."""
    return {**GOOD, "leaf-1": {name: port for name, port in GOOD["leaf-1"].items() if name != NAMES[number]}}


@pytest.mark.parametrize("text", [OF_OPENSM, OF_DIAGS], ids=["opensm", "dump_fts"])
def test_both_tools_tables_are_read(text: str) -> None:
    assert tables(text) == {"leaf-1": {"d mlx5_0": 4, "leaf-1": 0}}


def test_a_text_without_tables_is_refused() -> None:
    with pytest.raises(ValueError, match="no forwarding table"):
        tables("SUBNET UP\n")


def test_a_way_is_every_switch_port_that_the_packet_leaves_by() -> None:
    assert Network(CABLES, GOOD).way(NAMES[0], NAMES[3]) == (("leaf-1", 4), ("spine-2", 2), ("leaf-2", 2))


def test_good_tables_lose_no_pair() -> None:
    assert Network(CABLES, GOOD).lost(NAMES) == []


def test_a_missing_entry_loses_the_pairs_of_that_leaf() -> None:
    assert Network(CABLES, without(2)).lost(NAMES) == [
        f"{source} to {NAMES[2]}: leaf-1 has no route to {NAMES[2]}" for source in NAMES[:2]
    ]


def test_a_pulled_cable_is_named() -> None:
    cables = [cable for cable in CABLES if (cable.a, cable.b) != ("leaf-1", "spine-2")]
    with pytest.raises(RouteError, match="leaf-1 sends what is for d mlx5_0 to port 4, which has no cable"):
        Network(cables, GOOD).way(NAMES[0], NAMES[3])


def test_an_adapter_without_a_cable_is_named() -> None:
    with pytest.raises(RouteError, match="a mlx5_0 has no cable"):
        Network(CABLES[1:], GOOD).way(NAMES[0], NAMES[3])


def test_a_wrong_adapter_at_the_end_is_named() -> None:
    wrong = {**GOOD, "leaf-2": {**GOOD["leaf-2"], NAMES[3]: 1}}
    with pytest.raises(RouteError, match="what is for d mlx5_0 ends at c mlx5_0"):
        Network(CABLES, wrong).way(NAMES[0], NAMES[3])


def test_a_circle_is_not_walked_for_ever() -> None:
    wrong = {**GOOD, "spine-2": {**GOOD["spine-2"], NAMES[3]: 1}}
    with pytest.raises(RouteError, match="goes in circles"):
        Network(CABLES, wrong).way(NAMES[0], NAMES[3])


def test_all_to_all_loads_each_uplink_alike_when_routes_are_spread() -> None:
    # Four of the twelve pairs leave each leaf, over two uplinks.
    load = Network(CABLES, GOOD).load(all_to_all(NAMES))
    assert (load.largest, load.mean) == (2, 2.0)


def test_routes_over_one_spine_show_as_load() -> None:
    crowded = {**GOOD, "leaf-1": {**GOOD["leaf-1"], NAMES[3]: 3}}
    load = Network(CABLES, crowded).load(all_to_all(NAMES))
    assert (load.largest, load.where) == (4, ("leaf-1", 3))


def test_a_good_fabric_blocks_no_shift() -> None:
    assert worst_shift(Network(CABLES, GOOD), NAMES)[1].largest == 1


def test_a_shift_goes_round() -> None:
    assert shift(NAMES, 3)[1] == (NAMES[1], NAMES[0])


def test_traffic_below_one_leaf_loads_no_cable_between_switches() -> None:
    assert Network(CABLES, GOOD).load([(NAMES[0], NAMES[1])]).largest == 0
