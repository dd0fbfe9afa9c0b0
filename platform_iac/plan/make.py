"""From a spec to the plan: hosts first, then every kind's part, then the order."""

from __future__ import annotations

from dataclasses import replace
from graphlib import CycleError, TopologicalSorter
from typing import TYPE_CHECKING, Any

from platform_iac import kinds
from platform_iac.plan.context import Context, PlanError
from platform_iac.plan.model import Host, Plan, Site

if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import ModuleType

    from platform_iac.fabric.model import Fabric
    from platform_iac.plan.model import Run
    from platform_iac.spec.model import Platform


def make(spec: Platform) -> Plan:
    """Return the plan of `spec`: the same spec gives the same value.

    Raises:
        PlanError: the parts of the spec do not fit each other.
    """
    if homeless := [name for name, pool in spec.pools.items() if pool.site is None]:
        raise PlanError(
            f"pool `{homeless[0]}` has no site — add `sites`, and `site` and `addresses` to every pool; "
            "without them only the fabric can be planned (`platform-iac fabric`)"
        )
    found = hosts(spec)
    context = Context(spec, found, wire(spec, found))
    parts = [(module, name, chosen, module.plan(name, chosen, context)) for module, name, chosen in _chosen(spec)]
    secrets = {secret.name: secret for *_, part in parts for secret in part.secrets}
    _forwarded(spec, {endpoint.name for *_, part in parts for endpoint in part.endpoints})
    return Plan(
        name=spec.name,
        environment=spec.environment,
        sites=tuple(
            Site(name=name, kind=site.kind, settings=site.model_dump(mode="json")) for name, site in spec.sites.items()
        ),
        hosts=context.hosts,
        secrets=tuple(secrets[name] for name in sorted(secrets)),
        runs=_ordered(_turned([run for *_, part in parts for run in part.runs])),
        endpoints=tuple(endpoint for *_, part in parts for endpoint in part.endpoints),
        checks=tuple(check for module, name, chosen, _ in parts for check in module.checks(name, chosen, context)),
        pip=tuple(sorted({requirement for *_, part in parts for requirement in part.pip})),
        fabric=context.fabric,
        stores=tuple(store for *_, part in parts for store in part.stores),
    )


def wire(spec: Platform, between: tuple[Host, ...]) -> Fabric | None:
    """Return the fabric between these hosts; None where the spec has none.

    Raises:
        PlanError: it cannot be cabled; with the nearest that can.
    """
    if spec.fabric is None:
        return None
    wired: Fabric = kinds.find("fabric", spec.fabric.kind).wire(spec.fabric, spec, between)
    return wired


def hosts(spec: Platform) -> tuple[Host, ...]:
    """Return every host, in the order of the spec. Without a site it has no address and no domain."""
    return tuple(_hosts(spec))


def _hosts(spec: Platform) -> Iterator[Host]:
    for pool_name, pool in spec.pools.items():
        domain = f".{spec.sites[pool.site].domain}" if pool.site else ""
        hardware = pool.resolved_hardware()
        for name, address in pool.addressed():
            yield Host(
                name=name,
                address=address,
                fqdn=f"{name}{domain}",
                site=pool.site or "",
                pool=pool_name,
                duty=pool.duty,
                hardware=hardware,
            )


def _chosen(spec: Platform) -> Iterator[tuple[ModuleType, str, Any]]:
    """Every part of the spec that has a kind, in the order data flows: sites to services."""
    for name, site in sorted(spec.sites.items()):
        yield kinds.find("site", site.kind), name, site
    if spec.fabric is not None:
        yield kinds.find("fabric", spec.fabric.kind), "fabric", spec.fabric
    for name, storage in sorted(spec.storage.items()):
        yield kinds.find("storage", storage.kind), name, storage
    if spec.scheduler is not None:
        yield kinds.find("scheduler", spec.scheduler.kind), "scheduler", spec.scheduler
    for name, service in sorted(spec.services.items()):
        yield kinds.find("service", service.kind), name, service


def _forwarded(spec: Platform, endpoints: set[str]) -> None:
    """Ports of this computer lead to endpoints that there are."""
    for name, site in sorted(spec.sites.items()):
        if strangers := sorted(set(getattr(site, "forwards", {})) - endpoints):
            raise PlanError(
                f"`sites.{name}.forwards` names {', '.join(strangers)}, but the platform's endpoints are: "
                f"{', '.join(sorted(endpoints)) or 'none'} — name one of them, or leave it out"
            )


def _turned(runs: list[Run]) -> list[Run]:
    """Return the runs with each `before` as an `after` of the run it names, where that exists."""
    earlier: dict[str, set[str]] = {}
    for run in runs:
        for later in run.before:
            earlier.setdefault(later, set()).add(run.name)
    return [
        replace(run, after=tuple(sorted({*run.after, *earlier.get(run.name, ())})), before=()) if earlier else run
        for run in runs
    ]


def _ordered(runs: list[Run]) -> tuple[Run, ...]:
    by_name = {run.name: run for run in runs}
    if len(by_name) != len(runs):
        twice = sorted({run.name for run in runs if sum(other.name == run.name for other in runs) > 1})
        raise PlanError(
            f"two parts of the spec ask for {', '.join(twice)}, which a platform has once — leave one of them out"
        )
    graph: dict[str, set[str]] = {}
    for run in runs:
        if missing := sorted(set(run.needs) - by_name.keys()):
            raise PlanError(f"run `{run.name}` needs {', '.join(missing)}, which nothing in this spec plans")
        graph[run.name] = set(run.needs) | (set(run.after) & by_name.keys())
    sorter = TopologicalSorter(graph)
    try:
        sorter.prepare()
    except CycleError as error:
        raise PlanError(f"runs wait for each other: {' → '.join(error.args[1])}") from error
    order: list[Run] = []
    while sorter.is_active():
        ready = sorted(sorter.get_ready())
        order += [by_name[name] for name in ready]
        sorter.done(*ready)
    return tuple(order)
