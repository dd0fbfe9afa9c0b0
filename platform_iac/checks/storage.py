"""How fast shared storage is for jobs: fio through Slurm on several nodes at once, against floors from the spec."""

from __future__ import annotations

import shlex
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from platform_iac.checks.slurm_job import Door, JobError, Record, of
from platform_iac.checks.storage_profiles import ERROR, KEPT, PROFILES, WRITE, Profile

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from platform_iac.checks.remote import Remote
    from platform_iac.plan.model import Plan, Store

SPARE_SECONDS: Final = 900.0
"""For what is not timed: the queue, writing the files, and making small ones."""

FILES_A_SECOND: Final = 100
"""How many each node makes for each second that the other profiles run."""

STEP: Final = """
set -euo pipefail
top=$1 own=$2 figure=$3; shift 3
mine=$SLURM_PROCID
[ "$own" = own ] || mine=$(( (SLURM_PROCID + 1) % SLURM_NTASKS ))
mkdir -p -- "$top/$mine"
case $figure in creates) where=() ;; *) where=(--filename=data) ;; esac
line=$(fio --minimal --terse-version=3 --name="$figure" --directory="$top/$mine" "${where[@]}" "$@")
printf 'result %s %s %s\\n' "$SLURMD_NODENAME" "$figure" "$(cut -d';' -f{KEPT} <<< "$line")"
""".replace("{KEPT}", KEPT)
"""One node's part of a profile. Arguments, never text, carry what the spec says.

Of fio's line only what is read goes on: srun passes on a longer one in pieces, between which another node's may come.
"""

SWEEP: Final = 'rm -rf -- "$1/$SLURM_PROCID"'


class StorageError(RuntimeError):
    """A storage could not be measured; says at which step and why."""


@dataclass(frozen=True, slots=True)
class Figure:
    """One profile on one storage: each node's figure, and all of them together."""

    profile: Profile
    nodes: Mapping[str, float]
    aggregate: float
    floor_per_node: float | None
    floor: float | None

    @property
    def slowest(self) -> str:
        """The node with the lowest figure."""
        return min(sorted(self.nodes), key=lambda node: self.nodes[node])

    @property
    def misses(self) -> tuple[str, ...]:
        """What is below its floor, in words; nothing where all is well."""
        unit, low = self.profile.unit, self.nodes[self.slowest]
        found = []
        if self.floor_per_node is not None and low < self.floor_per_node:
            found.append(f"{self.slowest} has {low:,.0f} {unit} of {self.floor_per_node:,.0f}")
        if self.floor is not None and self.aggregate < self.floor:
            found.append(f"together {self.aggregate:,.0f} {unit} of {self.floor:,.0f}")
        return tuple(found)


@dataclass(frozen=True, slots=True)
class Result:
    """What was measured of one storage, in one job."""

    store: str
    record: Record
    figures: tuple[Figure, ...]

    @property
    def passed(self) -> bool:
        """Whether every figure that has a floor reaches it."""
        return not any(figure.misses for figure in self.figures)


def run(plan: Plan, remote: Remote, progress: Callable[[str], None]) -> tuple[Result, ...]:
    """Measure every storage of the plan that has floors, one after the other, as the plan's first member.

    Raises:
        StorageError: there is none, or a job failed; with its log.
    """
    stores = wanted(plan)
    try:
        door = of(plan, remote)
        return tuple(measure(store, door, progress) for store in stores)
    except JobError as error:
        raise StorageError(str(error)) from error


def wanted(plan: Plan) -> tuple[Store, ...]:
    """Return the storages that have floors.

    Raises:
        StorageError: there is none.
    """
    if not plan.stores:
        raise StorageError("no storage of this stack has floors — set `floors: {}` on one under `storage`")
    return plan.stores


def measure(store: Store, door: Door, progress: Callable[[str], None]) -> Result:
    """Run all profiles in one job and return what came of them.

    Raises:
        JobError: the job was refused, failed or took too long.
        StorageError: a node told less than it was asked for.
    """
    limit_seconds = 2 * len(PROFILES) * store.seconds + SPARE_SECONDS
    output = f"storage-{store.name}-%j.out"
    options = [
        f"--job-name=storage-{store.name}", f"--nodes={store.nodes}", "--ntasks-per-node=1",
        f"--time={int(limit_seconds // 60) + 1}", f"--output={output}",
    ]  # fmt: skip
    job = door.submit(options, text=script(store, door.user))
    progress(f"{door.user} submitted job {job} on {door.login}: {store.name} from {store.nodes} nodes at once")
    record = door.follow(job, progress, within_seconds=limit_seconds)
    lines = door.read(record, output.replace("%j", job))
    return Result(store.name, record, tuple(_figure(store, profile, lines) for profile in PROFILES))


def script(store: Store, user: str) -> str:
    """Return the batch script: one step per profile, then everything is swept away, also after a failure."""
    top = f"{store.directory.replace('{user}', user)}/.storage-check-"
    steps = [
        shlex.join(["srun", "--kill-on-bad-exit=1", "bash", "-c", STEP, "step"])
        + f' "$top" {"own" if profile.own or not store.shared else "neighbour"} '
        + shlex.join([profile.figure, *_options(store, profile)])
        for profile in PROFILES
    ]
    sweep = shlex.join(["srun", "bash", "-c", SWEEP, "sweep"]) + ' "$top"; rmdir -- "$top" 2>/dev/null'
    head = ["#!/bin/bash", "set -euo pipefail", f'top={shlex.quote(top)}"$SLURM_JOB_ID"', f"trap '{_once(sweep)}' EXIT"]
    return "\n".join([*head, *steps, ""])


def parse(lines: str, figure: str) -> dict[str, tuple[str, ...]]:
    """Return the fields of fio's terse line for one profile, by node."""
    found = (line.split(" ", 3) for line in lines.splitlines() if line.startswith("result "))
    return {words[1]: tuple(words[3].split(";")) for words in found if len(words) == 4 and words[2] == figure}


def _figure(store: Store, profile: Profile, lines: str) -> Figure:
    """Together is all bytes over the longest time: nodes that end early do not count as if they went on."""
    by_node = parse(lines, profile.figure)
    if len(by_node) != store.nodes:
        said = ", ".join(sorted(by_node)) or "none"
        raise StorageError(f"{store.name}: {profile.title} was told by {said} instead of {store.nodes} nodes")
    totals, rates, seconds = {}, {}, {}
    for node, fields in by_node.items():
        if len(fields) != WRITE + 4 or fields[ERROR] != "0":
            raise StorageError(f"{store.name}: fio failed in {profile.title} on {node}: {';'.join(fields)}")
        total_kib, rate_kib, rate, time_ms = (int(float(value)) for value in fields[profile.at : profile.at + 4])
        seconds[node] = max(time_ms, 1) / 1000
        rates[node] = rate_kib / 1024 if profile.in_mib else float(rate)
        totals[node] = total_kib / 1024 if profile.in_mib else total_kib / 4
    return Figure(
        profile=profile,
        nodes=dict(sorted(rates.items())),
        aggregate=sum(totals.values()) / max(seconds.values()),
        floor_per_node=store.floors.get(f"{profile.figure}_per_node"),
        floor=store.floors.get(profile.figure),
    )


def _options(store: Store, profile: Profile) -> tuple[str, ...]:
    if profile.figure == "creates":
        return (*profile.options, f"--nrfiles={FILES_A_SECOND * store.seconds}")
    timed = ("--time_based", f"--runtime={store.seconds}") if profile.timed else ()
    return (*profile.options, f"--size={store.size_mib}M", f"--direct={int(store.direct)}", *timed)


def _once(command: str) -> str:
    """The command inside the single quotes of a trap."""
    return command.replace("'", "'\\''")
