"""What `up`, `check` and `train` print of their results."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING

from platform_iac.checks.slurm_job import FIELDS
from platform_iac.commands.layout import table

if TYPE_CHECKING:
    from collections.abc import Sequence

    from platform_iac.checks import run
    from platform_iac.checks import storage as storage_check
    from platform_iac.checks.slurm_job import Record
    from platform_iac.checks.training import Result


def checks(results: Sequence[run.Result]) -> str:
    """Return one line a check, the failed ones with their reason, and the count."""
    rows = [
        ("passed" if result.passed else "FAILED", f"{result.seconds:.1f} s", result.check.host, result.check.name)
        for result in results
    ]
    reasons = "".join(f"  {result.check.name}: {result.reason}\n" for result in results if not result.passed)
    passed = sum(result.passed for result in results)
    return table("Checks", rows) + reasons + f"  {passed} passed, {len(results) - passed} failed"


def training(result: Result) -> str:
    """Return Slurm's records of both jobs, MLflow's run, and the registered model with its accuracy."""
    params = ", ".join(f"{name}={value}" for name, value in sorted(result.tracked.params.items()))
    metrics = ", ".join(f"{name}={value:.4g}" for name, value in sorted(result.tracked.metrics.items()))
    return (
        table("Slurm accounting", [FIELDS, _record(result.training), _record(result.inference)])
        + table(
            "MLflow",
            [
                ("run", f"{result.tracked.run} ({result.tracked.status.lower()}, {result.tracked.epochs} epochs)"),
                ("params", params),
                ("metrics", metrics),
                ("model", f"{result.model} version {result.version}, accuracy {result.accuracy:.4f} in the second job"),
            ],
        )
    ).rstrip()


def storage(result: storage_check.Result) -> str:
    """Return each figure of one storage: slowest node, all together, floors, and what misses them."""
    nodes = len(result.figures[0].nodes)
    rows = [("profile", "slowest node", "floor", f"{nodes} nodes together", "floor", "")]
    for figure in result.figures:
        low = figure.nodes[figure.slowest]
        rows.append(
            (
                figure.profile.title,
                f"{low:,.0f} {figure.profile.unit} ({figure.slowest})",
                _floor(figure.floor_per_node),
                f"{figure.aggregate:,.0f} {figure.profile.unit}",
                _floor(figure.floor),
                _verdict(figure),
            )
        )
    reasons = "".join(f"  {figure.profile.title}: {reason}\n" for figure in result.figures for reason in figure.misses)
    return table(f"Storage {result.store} (job {result.record.job} on {result.record.nodes})", rows) + reasons


def _verdict(figure: storage_check.Figure) -> str:
    if figure.floor is None and figure.floor_per_node is None:
        return "measured"
    return "FAILED" if figure.misses else "passed"


def _floor(value: float | None) -> str:
    return "none" if value is None else f"{value:,.0f}"


def _record(record: Record) -> tuple[str, ...]:
    return tuple(asdict(record).values())
