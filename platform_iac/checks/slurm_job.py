"""A Slurm job of a member: submitted from a login host, followed to its end, and accounted for."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from platform_iac.checks.remote import Remote
    from platform_iac.plan.model import Plan

FIELDS: Final = ("JobID", "User", "Account", "Partition", "AllocTRES", "State", "Elapsed", "NodeList")
UNFINISHED: Final = frozenset({"", "PENDING", "REQUEUED", "RESIZING", "RUNNING", "SUSPENDED"})
"""States of a job that may still end well (sacct, "JOB STATE CODES"); empty: accounting has not heard of it yet."""

POLL_SECONDS: Final = 2.0
LOG_LINES: Final = 40


class JobError(RuntimeError):
    """A job was refused, failed or took too long; with its log's last lines."""


@dataclass(frozen=True, slots=True)
class Record:
    """What Slurm's accounting says of a job, in its own words."""

    job: str
    user: str
    account: str
    partition: str
    tres: str
    state: str
    elapsed: str
    nodes: str


@dataclass(frozen=True, slots=True)
class Door:
    """How a member submits: the way to hosts, the login host, and the account."""

    remote: Remote
    login: str
    user: str

    def submit(self, options: Sequence[str], script: str = "", *arguments: str, text: str = "") -> str:
        """Submit a script that is on the login host, or its text, from the member's home, and return the job's id.

        Raises:
            JobError: Slurm refused it; with Slurm's words.
        """
        argv = ["sbatch", "--parsable", *options, *([script, *arguments] if script else [])]
        done = self.remote(self.login, argv, user=self.user, stdin=text)
        if done.rc != 0:
            raise JobError(f"Slurm refused {script or 'a job'} of {self.user} on {self.login}: {done.said}")
        return done.out.strip().split(";")[0]

    def follow(self, job: str, progress: Callable[[str], None], *, within_seconds: float) -> Record:
        """Return the job's record when it has completed.

        Raises:
            JobError: it ended otherwise, or not in time and is cancelled.
        """
        deadline = time.monotonic() + within_seconds
        told = ""
        while True:
            record = self._account(job)
            state = record.state.split(" ")[0] if record else ""
            if state and state != told:
                told = state
                progress(f"job {job} is {state.lower()}{f' on {record.nodes}' if record and record.nodes else ''}")
            if record and state == "COMPLETED":
                return record
            if record and state not in UNFINISHED:
                raise JobError(f"job {job} ended as {record.state} on {record.nodes}:\n{self.log(record)}")
            if time.monotonic() > deadline:
                raise JobError(self._overdue(job, record, within_seconds))
            time.sleep(POLL_SECONDS)

    def read(self, record: Record, path: str) -> str:
        """Return a file that the job left in the member's home on its first node.

        Raises:
            JobError: it is not there.
        """
        done = self.remote(self._first(record), ["cat", "--", path], user=self.user)
        if done.rc != 0:
            raise JobError(f"job {record.job} left no {path}: {done.said}")
        return done.out

    def log(self, record: Record) -> str:
        """Return the last lines of the job's output, or why there are none."""
        pattern = f"*-{record.job}.out"
        find = f"tail -n {LOG_LINES} -- {pattern}"
        return self.remote(self._first(record), ["bash", "-c", find], user=self.user).said

    def _account(self, job: str) -> Record | None:
        argv = ["sacct", "-X", "-n", "-P", "-j", job, "-o", ",".join(FIELDS)]
        done = self.remote(self.login, argv, user=self.user)
        lines = done.out.splitlines() if done.rc == 0 else []
        return Record(*lines[0].split("|")) if lines else None

    def _first(self, record: Record) -> str:
        """The first node of the job, where its script ran and its output lies."""
        done = self.remote(self.login, ["scontrol", "show", "hostnames", record.nodes], user=self.user)
        names = done.out.split()
        if done.rc != 0 or not names:
            raise JobError(f"job {record.job} has no node: {done.said or record.nodes}")
        return names[0]

    def _overdue(self, job: str, record: Record | None, seconds: float) -> str:
        reason = self.remote(self.login, ["squeue", "-h", "-j", job, "-o", "%T %r"], user=self.user).said
        self.remote(self.login, ["scancel", job], user=self.user)
        started = record is not None and record.state.startswith("RUNNING")
        log = f":\n{self.log(record)}" if record and started else ""
        return f"job {job} was not done after {seconds:g} s ({reason or 'unknown to squeue'}) and is cancelled{log}"


def of(plan: Plan, remote: Remote) -> Door:
    """Return the door of the first member of the plan's teams, on the first login host.

    Raises:
        JobError: nobody could submit a job, or from nowhere.
    """
    members = sorted(user.name for planned in plan.runs if planned.name == "base" for user in planned.users)
    if not members:
        raise JobError("no team has a member who could submit a job — add one under `teams`")
    logins = [host.name for host in plan.hosts if host.duty == "login"]
    if not logins:
        raise JobError("there is no host with `duty: login` from which a job could be submitted")
    return Door(remote, logins[0], members[0])
