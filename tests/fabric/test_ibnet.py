"""The text of `ibnetdiscover`: written for cable checkers and the simulator, and read from real fabrics."""

from __future__ import annotations

from dataclasses import replace

import pytest

from platform_iac.fabric import ibnet
from tests.fabric.small import fabric

REAL = """\
ibwarn: [2218] mad_rpc_open_port: can't open UMAD port ((null):0)
#
# Topology file: generated on Fri Feb  9 08:13:52 2024
#
# Initiated from node 946dae0300a1b2c4 port 946dae0300a1b2c4

vendid=0x2c9
devid=0xd2f2
sysimgguid=0xfc6a1c0300b0c0d0
switchguid=0xfc6a1c0300b0c0d0(fc6a1c0300b0c0d0)
Switch\t65 "S-fc6a1c0300b0c0d0"\t\t# "MF0;leaf-01-1:MQM9700/U1" enhanced port 0 lid 7 lmc 0
[1]\t"H-946dae0300a1b2c4"[1](946dae0300a1b2c4) \t\t# "gpu01 mlx5_0" lid 21 4xNDR
[2][ext 2]\t"H-0002c9030012aabb"[2](2c9030012aabd) \t\t# "MT25408 "ConnectX" HCA" lid 22 2xHDR s=4 w=16 v=4
[3]\t"R-0002c90300ffee00"[1](2c90300ffee01) \t\t# "router 1" lid 30 4x???
[65]\t"H-fc6a1c0300b0c0d8"[1](fc6a1c0300b0c0d8) \t\t# "Mellanox Technologies Aggregation Node" lid 9 4xNDR

vendid=0x2c9
devid=0x1021
sysimgguid=0x946dae0300a1b2c4
caguid=0x946dae0300a1b2c4
Ca\t1 "H-946dae0300a1b2c4"\t\t# "gpu01 mlx5_0"
[1](946dae0300a1b2c4) \t"S-fc6a1c0300b0c0d0"[1]\t\t# lid 21 lmc 0 "MF0;leaf-01-1:MQM9700/U1" lid 7 4xNDR

vendid=0x2c9
devid=0x673c
caguid=0x2c9030012aabb
Ca\t2 "H-0002c9030012aabb"\t\t# "MT25408 "ConnectX" HCA"
[2](2c9030012aabd) \t"S-fc6a1c0300b0c0d0"[2]\t\t# lid 22 lmc 0 "MF0;leaf-01-1:MQM9700/U1" lid 7 2xHDR s=4 w=16 v=4
"""
"""Made from the printf formats of rdma-core's ibnetdiscover.c, with what is met in the field."""


def test_what_is_written_is_read_back_with_every_cable_and_rate() -> None:
    plan = fabric()
    found = ibnet.parse(ibnet.write(plan))
    names = {id: node.name for id, node in found.nodes.items()}
    assert sorted(names.values()) == sorted([*(s.name for s in plan.switches), *(a.name for a in plan.adapters)])
    assert {
        frozenset({(names[link.a], link.a_port), (names[link.b], link.b_port)}): link.gbps for link in found.links
    } == {frozenset({(c.a, c.a_port), (c.b, c.b_port)}): c.rate_gbps for c in plan.cables}
    assert {node.guid for node in found.nodes.values()} == {
        ibnet.node_guid(node) for node in (*plan.switches, *plan.adapters)
    }
    assert {guid for node in found.nodes.values() for guid in node.port_guids} == {a.guid for a in plan.adapters}


def test_the_same_fabric_gives_the_same_text() -> None:
    assert ibnet.write(fabric()) == ibnet.write(fabric())


def test_guids_that_nobody_knows_yet_are_stable_placeholders_and_said_to_be() -> None:
    plan = fabric(guids=False)
    text = ibnet.write(plan)
    assert "stand for those that only the hardware knows" in text
    assert "stand for" not in ibnet.write(fabric())
    assert ibnet.placeholder("gpu01 mlx5_0") == "029825bcf098dd71"
    guids = [ibnet.node_guid(node) for node in (*plan.switches, *plan.adapters)]
    assert len(set(guids)) == len(guids)


def test_the_simulator_gets_rates_that_it_can_show() -> None:
    assert [ibnet.slowdown(fabric(rate_gbps=rate)) for rate in (100, 200, 400, 800)] == [1, 1, 2, 4]
    plan = fabric(rate_gbps=400)
    slow = replace(plan.cables[0], rate_gbps=200)
    found = ibnet.parse(ibnet.write(replace(plan, cables=(slow, *plan.cables[1:])), divisor=2))
    assert sorted({link.text for link in found.links}) == ["4xEDR", "4xHDR"]


def test_a_real_text_is_read_warnings_quotes_routers_and_all() -> None:
    found = ibnet.parse(REAL)
    assert {id: (node.kind, node.name, node.ports) for id, node in found.nodes.items()} == {
        "H-0002c9030012aabb": ("ca", 'MT25408 "ConnectX" HCA', 2),
        "H-946dae0300a1b2c4": ("ca", "gpu01 mlx5_0", 1),
        "H-fc6a1c0300b0c0d8": ("ca", "Mellanox Technologies Aggregation Node", 0),
        "R-0002c90300ffee00": ("router", "router 1", 0),
        "S-fc6a1c0300b0c0d0": ("switch", "MF0;leaf-01-1:MQM9700/U1", 65),
    }
    switch = "S-fc6a1c0300b0c0d0"
    assert [(link.a, link.a_port, link.b, link.b_port, link.gbps) for link in found.links] == [
        ("H-0002c9030012aabb", 2, switch, 2, 100.0),
        ("H-946dae0300a1b2c4", 1, switch, 1, 400.0),
        ("H-fc6a1c0300b0c0d8", 1, switch, 65, 400.0),
        ("R-0002c90300ffee00", 1, switch, 3, None),
    ]
    assert found.nodes["H-0002c9030012aabb"].port_guids == ("0002c9030012aabd",)


@pytest.mark.parametrize(("text", "gbps"), [("4xSDR", 10), ("4xFDR10", 40), ("12xQDR", 120), ("1xHDR", 50)])
def test_width_and_speed_make_the_rate(text: str, gbps: int) -> None:
    assert ibnet.gbps(text) == gbps


@pytest.mark.parametrize("text", ["", "4x???", "??xSDR", "4xWHAT"])
def test_a_speed_without_a_name_is_no_rate(text: str) -> None:
    assert ibnet.gbps(text) is None


def test_the_slower_of_two_ends_counts() -> None:
    lines = ibnet.write(fabric()).splitlines()
    first = next(number for number, line in enumerate(lines) if line.endswith("4xNDR"))
    lines[first] = lines[first].replace("4xNDR", "1xNDR")
    assert sorted(link.gbps or 0 for link in ibnet.parse("\n".join(lines)).links)[:2] == [100.0, 400.0]


@pytest.mark.parametrize(
    ("text", "what"),
    [
        ("", "no node in it"),
        ("bash: ibnetdiscover: command not found\n", "no node in it"),
        ('Switch 8 "S-1" # "a"\n[1] nonsense\n', "line 2: this is no port"),
        ('[1] "S-1"[1]\n', "line 1: this is no port"),
        ('Switch 8 "S-1"\n[1]\t"S-2"[1]\n\nSwitch 8 "S-2"\n[1]\t"S-1"[2]\n', "line 5: port 1 of S-2 has a cable"),
        ('Switch 8 "S-1"\n[1]\t"S-2"[1]\n[1]\t"S-3"[1]\n', "line 3: port 1 of S-1 has a cable to port 1 of S-2"),
        ('Switch 8 "S-1"\n\nSwitch 8 "S-1"\n', "line 3: S-1 is described twice"),
    ],
)
def test_what_cannot_be_read_is_told_with_its_line(text: str, what: str) -> None:
    with pytest.raises(ibnet.DiscoveryError, match=what):
        ibnet.parse(text)
