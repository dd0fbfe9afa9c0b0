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
    """Return (name, site) of the resources that a run becomes: one for each site with hosts of it.

    The name follows from the run and the site alone, so that another site renames nothing: a resource of another name
    is another resource, and the old one is torn down. At the first site of the spec it is the run's own.
    """
    where = {host.name: host.site for host in plan.hosts}
    here = {where[name] for name in run.hosts}
    return [
        (f"{run.name}@{site.name}" if place else run.name, site.name)
        for place, site in enumerate(plan.sites)
        if site.name in here
    ]


def home(plan: Plan) -> dict[str, Any]:
    """Return the first site and its hosts, whose resources have names without a site."""
    first = plan.sites[0].name
    return {"site": first, "hosts": sorted(host.name for host in plan.hosts if host.site == first)}


def former_names(plan: Plan, run: Run, site: str) -> tuple[str, ...]:
    """Return the names under which the state may know the run's resource at one site.

    A site that is the first one now may have been another one. Whose a name without a site was, nobody can tell.
    """
    return (f"{run.name}@{site}",) if site == plan.sites[0].name else ()


def role_inputs(plan: Plan, run: Run, site: str) -> dict[str, Any]:
    """Return the inputs of `platform:ansible:Role` for the run's hosts at one site."""
    hosts = {host.name: host for host in plan.hosts if host.site == site}
    return {
        "role": run.role,
        "site": site,
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
