#!/usr/bin/python
"""Refuse a slurm.conf without nodes that jobs are still on: Slurm fails the jobs of a node that it no longer knows."""

from __future__ import annotations

import itertools
import re
import subprocess
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

from ansible.module_utils.basic import AnsibleModule

DOCUMENTATION = r"""
module: slurm_leaving
short_description: Let no node go out of slurm.conf while a job is on it
description:
  - Compared are the nodes of the file that is there and those that slurmctld runs with, with those of the text that is
    to be the file. Only for nodes that go C(squeue) is asked, and a job on one of them is a failure.
  - Nothing is changed. Without a file, or with a slurmctld that does not run here, there is nothing to ask.
  - In check mode such jobs are warned of and shown as a difference.
options:
  file:
    description: Path of slurm.conf.
    type: path
    required: true
  content:
    description: The text that it is to have.
    type: str
    required: true
"""

RETURN = r"""
leaving:
  description: The nodes that go.
  type: list
"""

TIMEOUT_SECONDS = 60
MOST_JOBS = 5
"""Of one member, in words."""

HOLDING = "RUNNING,COMPLETING,SUSPENDED,CONFIGURING,STOPPED"
"""States of a job that has its nodes."""


class LeavingError(RuntimeError):
    """Nodes may not go; says why, and what to do."""


class Job(NamedTuple):
    """A job that has nodes."""

    number: str
    user: str
    nodes: frozenset[str]


def declared(text: str) -> set[str]:
    """Return the nodes that a slurm.conf declares."""
    found: set[str] = set()
    for line in text.splitlines():
        name, _, value = line.partition("=")
        if name.strip().lower() == "nodename":
            found |= expand((value.split() or [""])[0])
    return found - {"DEFAULT"}


def expand(hostlist: str) -> set[str]:
    """Return the names in a hostlist: `gpu[01-03,07],login01`."""
    return {name for item in re.findall(r"(?:\[[^]]*\]|[^,])+", hostlist) for name in _one(item)}


def _one(item: str) -> Iterable[str]:
    parts = re.split(r"\[([^]]*)\]", item)
    choices = [_numbers(part) if place % 2 else [part] for place, part in enumerate(parts)]
    return map("".join, itertools.product(*choices))


def _numbers(ranges: str) -> list[str]:
    found: list[str] = []
    for part in ranges.split(","):
        first, dash, last = part.partition("-")
        whole = dash and first.isdecimal() and last.isdecimal()
        found += [f"{number:0{len(first)}}" for number in range(int(first), int(last) + 1)] if whole else [part]
    return found


def run(*argv: str) -> str:
    """Run a command and return its output.

    Raises:
        LeavingError: it failed or took longer than TIMEOUT_SECONDS.
    """
    try:
        done = subprocess.run(argv, capture_output=True, text=True, timeout=TIMEOUT_SECONDS, check=False)
    except (OSError, subprocess.TimeoutExpired) as error:
        raise LeavingError(f"{argv[0]}: {error}") from error
    if done.returncode != 0:
        raise LeavingError(f"{argv[0]}: {done.stderr.strip() or done.stdout.strip() or done.returncode}")
    return done.stdout


def leaving(path: str, content: str) -> set[str]:
    """Return the nodes that the file or the running slurmctld has and the new text has not; none where neither is."""
    file = Path(path)
    if not file.exists():
        return set()
    try:
        run("systemctl", "is-active", "slurmctld.service")
    except LeavingError:
        return set()
    try:
        # A run that was killed may have left a file that slurmctld has not read yet.
        known = set(run("sinfo", "--all", "--noheader", "--Node", "--format=%N").split())
    except LeavingError:
        known = set()
    return (declared(file.read_text(encoding="utf-8")) | known) - declared(content)


def jobs_on(nodes: set[str]) -> list[Job]:
    """Return the jobs that have one of the nodes.

    Raises:
        LeavingError: slurmctld does not say.
    """
    lines = run("squeue", "--all", "--noheader", f"--states={HOLDING}", "--format=%i|%u|%N").splitlines()
    rows = [line.strip().split("|", 2) for line in lines if line.count("|") >= 2]
    jobs = [Job(number, user, frozenset(expand(names) & nodes)) for number, user, names in rows]
    return [job for job in jobs if job.nodes]


def refusal(nodes: set[str]) -> str:
    """Return why the nodes may not go, and what to do; empty where they may."""
    try:
        jobs = jobs_on(nodes)
    except LeavingError as error:
        return f"whether jobs are on {listed(nodes)} cannot be asked ({error}) — once slurmctld answers, run again"
    if not jobs:
        return ""
    every, busy = listed(nodes), listed({name for job in jobs for name in job.nodes})
    return (
        f"{busy} would leave Slurm with jobs: {said(jobs)} — "
        f"`scontrol update nodename={every} state=drain reason=leaving`, wait until `squeue --nodelist={every}` is "
        "empty or `scancel` them, and run again; to keep the nodes, put them back into the spec"
    )


def said(jobs: list[Job]) -> str:
    """Return the jobs in words, by user."""
    numbers: dict[str, list[str]] = {}
    for job in jobs:
        numbers.setdefault(job.user, []).append(job.number)
    return "; ".join(f"{_few(found)} of {user}" for user, found in sorted(numbers.items()))


def _few(numbers: list[str]) -> str:
    more = len(numbers) - MOST_JOBS
    return ", ".join(numbers[:MOST_JOBS]) + (f" and {more} more" if more > 0 else "")


def listed(nodes: set[str]) -> str:
    """Return the nodes as a hostlist, as Slurm writes it."""
    names = ",".join(sorted(nodes))
    try:
        return run("scontrol", "show", "hostlist", names).strip() or names
    except LeavingError:
        return names


def main() -> None:
    """Run as an Ansible module."""
    module = AnsibleModule(
        argument_spec={
            "file": {"type": "path", "required": True},
            "content": {"type": "str", "required": True},
        },
        supports_check_mode=True,
    )
    try:
        going = leaving(module.params["file"], module.params["content"])
    except OSError as error:
        module.fail_json(msg=str(error))
    why = refusal(going) if going else ""
    if why and not module.check_mode:
        module.fail_json(msg=f"{why}. Nothing of Slurm was changed", leaving=sorted(going))
    if why:
        module.warn(why)
    diff = {"before": "", "after": f"refused: {why}\n"} if why else {}
    module.exit_json(changed=False, leaving=sorted(going), diff=diff)


if __name__ == "__main__":
    main()
