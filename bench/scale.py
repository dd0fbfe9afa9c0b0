"""What one more node costs on a small and on a larger twin."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path

from bench.figure import Figure, once
from bench.specs import lab as spec_of
from bench.stacks import stack

FEW, MANY = 4, 12


def figures() -> Iterator[Figure]:
    """`pulumi up` that adds one GPU node to `MANY` against one that adds it to `FEW`."""
    with tempfile.TemporaryDirectory(prefix="platform-iac-bench-") as folder:
        few = _adding_one(FEW, "10.87.4", Path(folder) / "few")
        many = _adding_one(MANY, "10.87.5", Path(folder) / "many")
    yield Figure(
        name=f"one more node at {MANY} / one more node at {FEW}",
        ours=many,
        plain=few,
        method="Once each: the spec gets one more GPU node, then `pulumi up`; 1.0 means that the others cost nothing.",
    )


def _adding_one(nodes: int, network: str, home: Path) -> float:
    home.mkdir(parents=True)
    name = f"bench-{nodes}"
    spec = home / "bench.yaml"
    spec.write_text(spec_of(name, nodes, network))
    with stack(name, spec, home) as made:
        made.up(timeout=1800)
        spec.write_text(spec_of(name, nodes + 1, network))
        return once(made.up)
