"""What people write about Slurm, and which of it fits together."""

from __future__ import annotations

from typing import Annotated, Final, Literal, Self

from pydantic import Field, model_validator

from platform_iac.spec.base import Model, setting
from platform_iac.spec.types import AbsolutePath, Label, PoolName, TeamName, WallTime, wall_seconds, wrong

Priority = Annotated[int, Field(ge=0, le=1_000_000_000)]
Limit = Annotated[int, Field(ge=0, le=1_000_000)]

BLOCK_SINCE: Final = "24.05"
"""topology/block is in 23.11 already, but sizes its blocks by levels there (Slurm 24.05, "NEWS": BlockSizes)."""


class Partition(Model):
    """A queue: the pools it gives jobs to, and for how long."""

    pools: tuple[PoolName, ...] = setting(
        min_length=1, impact="restart", description="Pools with `duty: compute` whose hosts are in this partition."
    )
    default: bool = setting(default=False, impact="reconfigure", description="Where jobs go that name no partition.")
    max_time: WallTime = setting("7-00:00:00", impact="reconfigure", description="The longest time a job may take.")
    default_time: WallTime = setting(
        "01:00:00", impact="reconfigure", description="Time of a job that asks for none; short ones are backfilled."
    )
    priority: Annotated[int, Field(ge=1, le=65_533)] = setting(
        1, impact="reconfigure", description="Jobs of a higher partition are considered first on shared hosts."
    )
    teams: tuple[TeamName, ...] = setting(
        (), impact="reconfigure", description="Teams that may use it; none named means all."
    )

    @model_validator(mode="after")
    def _time(self) -> Self:
        if wall_seconds(self.default_time) > wall_seconds(self.max_time):
            raise wrong(f"default_time {self.default_time} is longer than max_time {self.max_time} — make it shorter")
        return self


class Qos(Model):
    """A quality of service: a priority and limits that a job chooses with `--qos`."""

    priority: Priority = setting(0, impact="reconfigure", description="More goes first; only the ratio counts.")
    max_wall: WallTime | None = setting(None, impact="reconfigure", description="The longest time a job may take.")
    max_gpus_per_user: Limit | None = setting(None, impact="reconfigure", description="Most GPUs of one person.")
    max_gpus_per_job: Limit | None = setting(None, impact="reconfigure", description="Most GPUs of one job.")
    max_jobs_per_user: Limit | None = setting(
        None, impact="reconfigure", description="Most jobs of one person at once."
    )
    preempts: tuple[Label, ...] = setting(
        (), impact="reconfigure", description="QoS whose jobs it may stop and put back into the queue."
    )


class Health(Model):
    """When a node's own check takes it out of service."""

    interval_seconds: Annotated[int, Field(ge=10, le=65_535)] = setting(
        60, impact="reconfigure", description="Time between two checks of a node."
    )
    min_free_percent: Annotated[int, Field(ge=0, le=99)] = setting(
        5, impact="reconfigure", description="Free space that every checked file system must have."
    )
    max_clock_error_ms: Annotated[int, Field(ge=1, le=100_000)] = setting(
        1000, impact="reconfigure", description="Clock error at which a node fails; munge gives up at 300 seconds."
    )
    max_gpu_celsius: Annotated[int, Field(ge=30, le=120)] = setting(
        90, impact="reconfigure", description="Temperature above which a GPU is reported; it slows down by itself."
    )
    xid_log: AbsolutePath | None = setting(
        None, impact="reconfigure", description="File with the driver's Xid lines; left out, the kernel's log is read."
    )


class Spec(Model):
    """The scheduler `slurm`."""

    kind: Literal["slurm"] = setting(impact="replace", description="Slurm Workload Manager.")
    partitions: dict[Label, Partition] = setting(
        min_length=1, impact="reconfigure", description="Queues by name; exactly one has `default: true`."
    )
    qos: dict[Label, Qos] = setting(
        default_factory=lambda: {"normal": Qos()}, impact="reconfigure", description="Qualities of service by name."
    )
    default_qos: Label = setting("normal", impact="reconfigure", description="QoS of a job that names none.")
    version: Literal["22.05", "23.02", "23.11", "24.05", "24.11", "25.05", "25.11"] = setting(
        "22.05", impact="drain", description="Slurm on the mirror: Debian 12 has 22.05. Newer ones read newer files."
    )
    topology: Literal["auto", "tree", "block", "none"] = setting(
        "auto", impact="restart", description="How jobs follow the fabric; `auto` is `tree` where there is a fabric."
    )
    health: Health = setting(default_factory=Health, impact="reconfigure", description="The nodes' own checks.")
    memory_reserved_gib: Annotated[int, Field(ge=0, le=1024)] | None = setting(
        None, impact="restart", description="Memory kept from jobs on each node; left out, a fortieth and at least 1."
    )
    config_overrides: bool | None = setting(
        None,
        impact="restart",
        description="Believe the spec's cores and memory over the machine's; left out, where GPUs are simulated.",
    )
    cgroup_plugin: Literal["autodetect", "cgroup/v1", "cgroup/v2"] = setting(
        "autodetect", impact="drain", description="How jobs are confined; `autodetect` asks the node's kernel."
    )
    fair_share_half_life: WallTime = setting(
        "7-00:00:00", impact="reconfigure", description="Time after which past usage counts half."
    )
    accounting_months: Annotated[int, Field(ge=1, le=1200)] = setting(
        36, impact="restart", description="Months for which the accounting database keeps jobs."
    )
    state_directory: AbsolutePath | None = setting(
        None, impact="replace", description="Shared directory for the controllers' state; needed with two of them."
    )

    @model_validator(mode="after")
    def _fits(self) -> Self:
        if "default" in self.partitions:
            raise wrong("`default` is no partition to Slurm but what all others begin with — choose another name")
        defaults = [name for name, partition in self.partitions.items() if partition.default]
        if len(defaults) != 1:
            found = ", ".join(defaults) or "none"
            raise wrong(f"one partition must have `default: true`, found {found} — mark exactly one")
        if self.default_qos not in self.qos:
            raise wrong(
                f"default_qos `{self.default_qos}` is not in `qos` — add it there or name one of: {_list(self.qos)}"
            )
        if self.topology == "block" and self.version < BLOCK_SINCE:
            raise wrong(f"topology `block` needs Slurm {BLOCK_SINCE}, `version` is {self.version} — use `tree`")
        for name, qos in self.qos.items():
            for other in qos.preempts:
                if other == name or other not in self.qos:
                    raise wrong(f"qos `{name}` cannot preempt `{other}` — name another one of: {_list(self.qos)}")
        return self


def _list(names: dict[str, Qos]) -> str:
    return ", ".join(names)
