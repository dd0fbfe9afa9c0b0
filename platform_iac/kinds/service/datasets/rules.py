"""What of the datasets does not fit the hosts, the storage, the teams or each other."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from platform_iac.kinds.storage._shared import mounts_of
from platform_iac.plan.context import PlanError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from platform_iac.kinds.service.datasets.spec import Dataset, Retrain, Spec
    from platform_iac.plan.context import Context
    from platform_iac.plan.model import Host

SQUASHED: Final = ("nfs", "nfs4")
"""Types of mounts where a client's root is nobody, so that it can own no dataset (exports(5), root_squash)."""


def mover(name: str, spec: Spec, context: Context) -> Host:
    """Return the host that moves.

    Raises:
        PlanError: there is none.
    """
    if spec.runs_on is None:
        found = context.with_duty("login")
        remedy = "add a pool with `duty: login`, or name another one in `runs_on`"
    else:
        found = tuple(host for host in context.hosts if host.pool == spec.runs_on)
        remedy = f"give pool `{spec.runs_on}` hosts"
    if not found:
        raise PlanError(f"service `{name}`: no host could move its datasets — {remedy}")
    return found[0]


def mounts(name: str, spec: Spec, host: Host, context: Context) -> dict[str, str]:
    """Return where each dataset's storage is mounted on the host, after checking that everything fits.

    Raises:
        PlanError: with everything that is wrong, and what to do.
    """
    found: dict[str, str] = {}
    problems: list[str] = []
    for label, dataset in sorted(spec.sets.items()):
        try:
            found[label] = _mount(label, dataset, host, context)
        except PlanError as error:
            problems.append(str(error))
        problems += [f"set `{label}`: {problem}" for problem in _people(label, dataset, context)]
        if dataset.retrain:
            problems += [f"set `{label}`: retrain: {problem}" for problem in _retrain(dataset.retrain, host, context)]
    problems += _room(spec.sets, found, context)
    if problems:
        raise PlanError("; ".join(f"service `{name}`: {problem}" for problem in problems))
    return found


def _mount(label: str, dataset: Dataset, host: Host, context: Context) -> str:
    """The mount that a dataset lies on: the one it names, else the only one for datasets."""
    there = {mount.path: mount for mount in mounts_of(host, context)}
    fitting = [path for path, mount in there.items() if mount.purpose == "datasets"]
    if dataset.mount is None and len(fitting) != 1:
        count = ", ".join(fitting) or "none"
        raise PlanError(f"set `{label}`: which storage? {host.name} mounts {count} for datasets — name one in `mount`")
    path = dataset.mount or fitting[0]
    if path not in there:
        mounted = ", ".join(there) or "nothing"
        raise PlanError(
            f"set `{label}`: {host.name} has no storage at {path}, it mounts {mounted} — choose another `mount` or "
            "`runs_on`"
        )
    if set(there[path].types) & set(SQUASHED):
        raise PlanError(
            f"set `{label}`: over NFS root of {host.name} is nobody in {path} and can own no dataset — use CephFS"
        )
    return path


def _people(label: str, dataset: Dataset, context: Context) -> Iterator[str]:
    members = context.spec.teams[dataset.owner].members
    if label in members:
        yield f"`{label}` is also a member of {dataset.owner}, whose folder lies beside it — choose another name"
    if dataset.retrain and dataset.retrain.member not in members:
        yield (
            f"retrain: {dataset.retrain.member} is no member of {dataset.owner}, who own it — "
            f"name one of {', '.join(sorted(members)) or 'its members, once there are any'}"
        )


def _retrain(retrain: Retrain, host: Host, context: Context) -> Iterator[str]:
    scheduler = context.spec.scheduler
    if scheduler is None or scheduler.kind != "slurm":
        yield "there is no Slurm that could run it — add `scheduler: {kind: slurm, …}`"
    elif retrain.partition is not None and retrain.partition not in scheduler.partitions:
        yield f"there is no partition `{retrain.partition}` — name one of {', '.join(sorted(scheduler.partitions))}"
    if not any(service.kind == "mlflow" for service in context.spec.services.values()):
        yield "there is no MLflow that could keep its result — add `services: {mlflow: {kind: mlflow}}`"
    if host.duty != "login":
        yield f"{host.name} has `duty: {host.duty}`, and jobs are submitted from logins — leave `runs_on` out"


def _room(sets: Mapping[str, Dataset], mounted: Mapping[str, str], context: Context) -> Iterator[str]:
    """Each team's datasets fit its quota: what is kept, and the version that is on its way in."""
    needed: dict[tuple[str, str], float] = {}
    for label, dataset in sets.items():
        if label in mounted:
            versions = dataset.keep_versions + len(dataset.keep) + 1
            place = (mounted[label], dataset.owner)
            needed[place] = needed.get(place, 0) + dataset.size_gib * versions
    for (mount, team), gib in sorted(needed.items()):
        quota = _quotas(mount, context).get(team)
        if quota is not None and gib > quota:
            yield (
                f"datasets of {team} in {mount} may need {gib:,g} GiB with the versions they keep and one on its way, "
                f"its quota there is {quota:,} GiB — raise `quotas_gib`, or lower `size_gib` or `keep_versions`"
            )


def _quotas(mount: str, context: Context) -> Mapping[str, int]:
    """The teams' quotas of the file system at a mount point."""
    for storage in context.spec.storage.values():
        for filesystem in (*getattr(storage, "filesystems", {}).values(), storage):
            if getattr(filesystem, "mount", None) == mount:
                quotas: Mapping[str, int] = filesystem.quotas_gib
                return quotas
    return {}
