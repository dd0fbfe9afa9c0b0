"""Teams and QoS as Slurm accounts them: fair share, GPU limits and who may use what."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from platform_iac.plan.context import PlanError

if TYPE_CHECKING:
    from platform_iac.kinds.scheduler.slurm.spec import Qos, Spec
    from platform_iac.plan.context import Context

LONGEST_CLUSTER: Final = 64 - len("_assoc_usage_month_table")
"""Longest name of a cluster: slurmdbd makes tables of it, and MySQL takes 64 characters (as_mysql_cluster.c)."""

UNLIMITED = ""
"""How sacctmgr shows, and the module `slurm_accounts` takes, a limit that is not set."""


def declared(spec: Spec, context: Context) -> dict[str, Any]:
    """Return the arguments of the module `slurm_accounts`: every account, person and QoS, limits as text.

    Raises:
        PlanError: the platform's name is too long for a cluster.
    """
    return {
        "cluster": _cluster(context.spec.name),
        "default_qos": spec.default_qos,
        "qos": {name: _qos(qos) for name, qos in sorted(spec.qos.items())},
        "accounts": {
            name: {"share": team.share, "gpus": _gpus(team.gpus), "users": sorted(team.members)}
            for name, team in sorted(context.spec.teams.items())
        },
    }


def _cluster(name: str) -> str:
    if len(name) > LONGEST_CLUSTER:
        raise PlanError(
            f"`{name}` has {len(name)} characters, and a cluster of Slurm's accounting has up to {LONGEST_CLUSTER} — "
            "choose a shorter `name`"
        )
    return name


def _qos(qos: Qos) -> dict[str, Any]:
    return {
        "priority": qos.priority,
        "max_wall": qos.max_wall or UNLIMITED,
        "max_tres_per_user": _gpus(qos.max_gpus_per_user),
        "max_tres_per_job": _gpus(qos.max_gpus_per_job),
        "max_jobs_per_user": UNLIMITED if qos.max_jobs_per_user is None else str(qos.max_jobs_per_user),
        "preempts": sorted(qos.preempts),
    }


def _gpus(count: int | None) -> str:
    """GPUs of any type: a job that asks for `gpu:h100:2` counts under `gres/gpu` too (gres.html, "Limits")."""
    return UNLIMITED if count is None else f"gres/gpu={count}"
