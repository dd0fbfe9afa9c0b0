"""What the plan decides of each Pulumi resource: the inputs that need neither Pulumi nor a host.

`components` adds what only the engine knows (the door to a host, secrets); policies judge this much anywhere.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from platform_iac.plan.export import named

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from platform_iac.plan.model import Plan, Run

KEY: Final = "platform:secret:Key"
ROLE: Final = "platform:ansible:Role"


@dataclass(frozen=True, slots=True, kw_only=True)
class Declared:
    """One resource before anything exists: Pulumi's type, its name, and the inputs that the plan decides."""

    type: str
    name: str
    inputs: Mapping[str, Any]


def declared(plan: Plan) -> Iterator[Declared]:
    """Yield every secret and every role run of the plan, in its order."""
    for secret in plan.secrets:
        yield Declared(type=KEY, name=secret.name, inputs={"length": secret.length_bytes})
    for run in plan.runs:
        for name, site in by_site(plan, run):
            yield Declared(type=ROLE, name=name, inputs=role_inputs(plan, run, site))


def by_site(plan: Plan, run: Run) -> list[tuple[str, str]]:
    """Return (name, site) of the resources that a run becomes: one for each site with hosts of it."""
    where = {host.name: host.site for host in plan.hosts}
    sites = sorted({where[name] for name in run.hosts})
    return [(run.name if len(sites) == 1 else f"{run.name}@{site}", site) for site in sites]


def role_inputs(plan: Plan, run: Run, site: str) -> dict[str, Any]:
    """Return the inputs of `platform:ansible:Role` for the run's hosts at one site."""
    hosts = {host.name: host for host in plan.hosts if host.site == site}
    return {
        "role": run.role,
        "packages": list(run.packages),
        "files": named(run.files, by="path"),
        "units": named(run.units),
        "users": named(run.users),
        "vars": dict(run.vars),
        "hosts": {
            name: {
                "address": hosts[name].address,
                "vars": dict(run.host_vars.get(name, {})),
                "files": named(run.host_files.get(name, ()), by="path"),
            }
            for name in run.hosts
            if name in hosts
        },
    }
