"""What is written is a fabric to ibsim, and what `ibnetdiscover` finds in it is what was planned."""

from __future__ import annotations

import pytest

from platform_iac.fabric import ibnet
from tests.fabric.simulator import discover
from tests.fabric.small import fabric

pytestmark = pytest.mark.twin


def test_ibnetdiscover_finds_every_node_cable_and_rate_of_the_plan() -> None:
    plan = fabric(units=2, nodes=8, rails=4, spines=4)
    text = ibnet.write(plan, divisor=ibnet.slowdown(plan))
    found = ibnet.parse(discover(text, start=ibnet.node_id(plan.adapters[0])))
    wanted = ibnet.parse(text)
    assert found.nodes == wanted.nodes
    assert found.links == wanted.links
    assert {link.text for link in found.links} == {"4xHDR"}
