"""The acceptance of every role: what must hold for it to be one, asserted on machines.

A dry run on a virgin host does not fail; it applies; a second time changes nothing; a dry run then
reports nothing; teardown leaves nothing of it.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from tests.twin_support.ansible import find, play
from tests.twin_support.machines import Lab

T = TypeVar("T")
Inventories = dict[str, set[str]]

INVENTORY = r"""
dpkg-query -W -f 'package ${db:Status-Abbrev} ${Package}\n'
find /etc /srv /opt /usr/local /usr/sbin/policy-rc.d /usr/bin /var/spool /var/lib \
  -xdev \( -path /var/lib/dpkg -o -path /var/lib/apt -o -path /var/lib/systemd -o -path /srv/mirror \) -prune \
  -o \( -type f -o -type l \) -printf 'file %p\n' 2>/dev/null
getent passwd | cut -d: -f1 | sed 's/^/user /'
getent group | cut -d: -f1 | sed 's/^/group /'
systemctl list-units --state=active,failed --type=service --plain --no-legend | awk '{print "unit", $1}'
"""

# Traces of the operating system's own tools, not of a role: caches, backups of the account files,
# and accounts and logs that Debian keeps on purpose when a package goes (Debian policy 9.2, UsersGroups).
TRACES = re.compile(
    r"file /etc/(ld\.so\.cache|(passwd|group|shadow|gshadow|subuid|subgid)-?|\.pwd\.lock|mtab|machine-id"
    r"|ssl/certs/.*|rc\d\.d/.*|alternatives/.*|apt/trustdb\.gpg)"
    r"|file /var/lib/(ucf|pam|misc|logrotate|shells\.state|private|dhcp|python|update-notifier|alternatives).*"
    r"|file /var/lib/postgresql/.*/pg_internal\.init"  # a cache, gone after some changes until somebody connects
    r"|unit (session-|user@|user-runtime-dir@|systemd-|run-|apt-|dpkg-|e2scrub).*"
)


def accept(lab: Lab, run_name: str, *, stays: str = r"(?!)", timeout: int = 600) -> None:
    """Take a role run through the whole acceptance and apply it again at the end.

    `stays` is a regular expression of inventory lines (`user mysql`, `file /var/…`) that may outlive
    the role; the caller says why.
    """
    before = inventories(lab, (run_name,))
    arrive(lab, (run_name,), before=before, timeout=timeout)
    leave(lab, (run_name,), before=before, stays=stays, timeout=timeout)
    play(lab, run_name, timeout=timeout).ok()


def arrive(lab: Lab, *stages: tuple[str, ...], before: Inventories, dry: bool = True, timeout: int = 600) -> None:
    """The first half of the acceptance, for several runs: those of a stage are apart and go at once.

    A machine that is emulated takes seconds for a task: there nobody waits for another's, and without `dry` the last
    dry run is left out.
    """
    every = [name for stage in stages for name in stage]
    at_once(lambda name: play(lab, name, check=True, timeout=timeout).ok(), every)
    assert inventories(lab, *stages) == before, "a dry run changed something"
    for stage in stages:
        for name, done in zip(stage, at_once(lambda name: play(lab, name, timeout=timeout).ok(), stage), strict=True):
            assert all(done.changed[host] for host in find(lab, name).hosts), done.output
    for stage in stages:
        at_once(lambda name: unchanged(lab, name, dry=dry, timeout=timeout), stage)


def leave(lab: Lab, *stages: tuple[str, ...], before: Inventories, stays: str, timeout: int = 600) -> None:
    """The second half, from the last stage to the first: teardown leaves nothing of the runs and takes nothing else."""
    for stage in reversed(stages):
        at_once(lambda name: play(lab, name, moment="teardown", timeout=timeout).ok(), stage)
    for host, now in inventories(lab, *stages).items():
        left = {line for line in now - before[host] if not re.fullmatch(stays, line)}
        assert not left, f"{host} still has: {sorted(left)}"
        assert not before[host] - now, f"{host} lost: {sorted(before[host] - now)}"


def unchanged(lab: Lab, run_name: str, *, dry: bool = True, timeout: int = 600) -> None:
    """Assert that neither a second run nor, with `dry`, a dry run has anything to do."""
    again = play(lab, run_name, timeout=timeout).ok()
    assert not any(again.changed.values()), again.output[-8000:]
    if not dry:
        return
    rehearsed = play(lab, run_name, check=True, timeout=timeout).ok()
    assert not any(rehearsed.changed.values()), rehearsed.output[-8000:]


def inventories(lab: Lab, *stages: tuple[str, ...]) -> Inventories:
    """Return the inventory of each of the runs' hosts."""
    hosts = sorted({host for stage in stages for name in stage for host in find(lab, name).hosts})
    return dict(zip(hosts, at_once(lambda host: inventory(lab, host), hosts), strict=True))


def inventory(lab: Lab, host: str) -> set[str]:
    """Return a host's packages, files, accounts and running services, one line each."""
    return {line for line in lab.ok(host, INVENTORY).splitlines() if not TRACES.fullmatch(line)}


def at_once(do: Callable[[str], T], names: Sequence[str]) -> list[T]:
    """Do something for each name at the same time, and return the results in order."""
    with ThreadPoolExecutor(max_workers=len(names)) as pool:
        return list(pool.map(do, names))
