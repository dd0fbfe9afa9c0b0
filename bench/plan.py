"""Planning a large spec against planning a small one."""

from __future__ import annotations

from collections.abc import Iterator

from bench.figure import Figure, median
from bench.specs import onprem
from platform_iac.plan.make import make
from platform_iac.spec.load import loads

NODES = 1024


def figures() -> Iterator[Figure]:
    """Spec to plan, in this process: `NODES` GPU nodes against 4."""
    large, small = onprem(NODES), onprem(4)
    yield Figure(
        name=f"plan of {NODES:,} GPU nodes / plan of 4",
        ours=median(lambda: make(loads(large)), times=3),
        plain=median(lambda: make(loads(small)), times=3),
        method="Median of 3 in one process: read the YAML, check it, plan, render every file. No host is touched.",
    )
