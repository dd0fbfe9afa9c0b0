"""The fabric's planner: the published tables, and what the whole command takes for large fabrics."""

from __future__ import annotations

import os
import statistics
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

from bench.figure import Figure
from platform_iac.commands.fabric import numbers
from platform_iac.commands.layout import table
from platform_iac.plan.make import hosts, wire
from platform_iac.spec.load import loads

PUBLISHED = (31, 63, 95, 127)
"""Nodes of one to four scalable units (NVIDIA DGX SuperPOD reference architecture, H100)."""
LARGE = (127, 1024, 2048)


def spec(nodes: int) -> str:
    """Return the smallest spec of a fabric with this many eight-GPU nodes."""
    return f"""\
apiVersion: platform-iac/v1
name: large
fabric: {{kind: infiniband, rails: 8, radix: 64, unit: 32}}
pools: {{gpu: {{duty: compute, hosts: "gpu[0001-{nodes:04}]", hardware: dgx-h100}}}}
"""


def figures() -> Iterator[Figure | str]:
    """The published tables as planned, then `platform-iac fabric` from start to end against a bare interpreter."""
    yield table("Fabrics as planned, to compare with the published tables", [_HEAD, *map(_row, PUBLISHED)]).rstrip()
    bare, _ = _command("-c", "pass")
    with tempfile.TemporaryDirectory() as folder:
        for nodes in LARGE:
            path = Path(folder) / f"fabric-{nodes}.yaml"
            path.write_text(spec(nodes))
            seconds, peak_mib = _command("-m", "platform_iac.cli", "fabric", str(path), "--json")
            yield Figure(
                name=f"fabric of {nodes:,} nodes x 8 rails / starting Python",
                ours=seconds,
                plain=bare,
                method="Median of 3 whole commands, CPU time of one thread, so that other load does not count: "
                f"spec, planning, printing. Peak memory {peak_mib:.0f} MiB.",
            )


_HEAD = ("nodes", "GPUs", "leaves", "spines", "node and manager cables", "leaf-spine cables")


def _row(nodes: int) -> tuple[str, ...]:
    platform = loads(spec(nodes))
    wired = wire(platform, hosts(platform))
    assert wired is not None
    found = numbers(wired)
    cables = found["cables"]
    ends = cables["node_leaf"] + cables["manager"]
    shown = (nodes, nodes * 8, found["leaves"], found["spines"], ends, cables["leaf_spine"])
    return tuple(str(number) for number in shown)


def _command(*arguments: str) -> tuple[float, float]:
    """Return median CPU seconds and peak resident memory in MiB of three processes of this interpreter."""
    taken, peaks = [], []
    for _ in range(3):
        quiet = [(os.POSIX_SPAWN_OPEN, 1, os.devnull, os.O_WRONLY, 0)]
        child = os.posix_spawn(sys.executable, [sys.executable, *arguments], os.environ, file_actions=quiet)
        _, status, used = os.wait4(child, 0)
        assert status == 0, f"{arguments} ended with {os.waitstatus_to_exitcode(status)}"
        taken.append(used.ru_utime + used.ru_stime)
        peaks.append(used.ru_maxrss / 1024)
    return statistics.median(taken), max(peaks)
