"""Judging a large plan against making it."""

from __future__ import annotations

from collections.abc import Iterator

from bench.figure import Figure, median
from bench.specs import onprem
from platform_iac.plan.make import make
from platform_iac.plan.resources import declared
from platform_iac.spec.load import loads
from policies import facts
from policies.config import Config
from policies.judge import judge
from policies.rules import all_rules
from policies.target import Target

NODES = 1024


def figures() -> Iterator[Figure]:
    """Every rule over a plan of `NODES` GPU nodes, in this process; no engine is started and no host is reached."""
    spec = loads(onprem(NODES))
    plan = make(spec)

    def judged() -> None:
        targets = [Target(each.type, each.name, each.inputs) for each in declared(plan)]
        report = judge(targets, all_rules(), Config(), facts.of(spec, plan))
        assert not report.refused, [str(verdict) for verdict in report.verdicts]

    yield Figure(
        name=f"policies of {NODES:,} GPU nodes / their plan",
        ours=median(judged, times=3),
        plain=median(lambda: make(loads(onprem(NODES))), times=3),
        method=f"Median of 3 in one process: {len(all_rules())} rules over the inputs of every resource, against "
        "reading, checking and planning the same spec.",
    )
