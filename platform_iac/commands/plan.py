"""`platform-iac plan`: what a spec makes, for people or as JSON."""

from __future__ import annotations

from typing import TYPE_CHECKING

from platform_iac.commands import layout
from platform_iac.plan import export
from platform_iac.plan.make import make
from platform_iac.spec.hostlist import compress
from platform_iac.spec.load import load

if TYPE_CHECKING:
    from platform_iac.plan.model import Plan, Run


def plan(stack: str, *, json: bool) -> int:
    """Print the plan of a stack."""
    made = make(load(stack))
    print(export.text(made) if json else summary(made), end="")
    return 0


def summary(plan: Plan) -> str:
    """Return the plan on about a screen: sites, hosts by pool, runs in order, endpoints."""
    pools = list(dict.fromkeys(host.pool for host in plan.hosts))
    by_pool = {pool: [host for host in plan.hosts if host.pool == pool] for pool in pools}
    parts = [
        _head(plan),
        layout.table("Sites", [(site.name, site.kind) for site in plan.sites]),
        layout.table(
            "Hosts by pool",
            [
                (
                    pool,
                    hosts[0].duty,
                    compress(host.name for host in hosts),
                    f"from {hosts[0].address}",
                    layout.hardware(hosts[0].hardware),
                )
                for pool, hosts in by_pool.items()
            ],
        ),
        layout.table("Role runs, in order", [_run(number, run) for number, run in enumerate(plan.runs, 1)]),
        layout.table("Endpoints", [(point.name, f"{point.host}:{point.port}") for point in plan.endpoints]),
    ]
    return "\n".join(part for part in parts if part)


def _head(plan: Plan) -> str:
    parts = [
        f"{len(plan.hosts)} hosts",
        f"{len(plan.runs)} role runs",
        f"{len(plan.packages)} Debian and {len(plan.pip)} Python packages",
        f"{len(plan.secrets)} secrets",
        f"{len(plan.checks)} checks",
    ]
    return f"{plan.name} ({plan.environment}): {', '.join(parts)}\n"


def _run(number: int, run: Run) -> tuple[str, ...]:
    own = sum(len(files) for files in run.host_files.values())
    files = f"{len(run.files)} files" + (f" + {own} of single hosts" if own else "")
    waits = ", ".join((*run.needs, *run.after))
    return (
        f"{number}.",
        run.name,
        compress(run.hosts),
        files,
        f"{len(run.packages)} packages",
        f"{len(run.units)} units",
        f"after {waits}" if waits else "",
    )
