"""What is measured is a platform that can be built: a benchmark runs too seldom to tell."""

from __future__ import annotations

import pytest

from bench import scale, specs
from platform_iac.plan.make import make
from platform_iac.spec.load import loads


@pytest.mark.parametrize("nodes", [scale.FEW, scale.FEW + 1, scale.MANY, scale.MANY + 1])
def test_the_lab_can_be_planned_with_as_many_nodes(nodes: int) -> None:
    plan = make(loads(specs.lab("bench", nodes, "10.87.5")))
    assert sum(host.duty == "compute" for host in plan.hosts) == nodes
    assert plan.fabric is not None
