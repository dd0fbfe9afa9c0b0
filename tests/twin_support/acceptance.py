"""The acceptance of every role: what must hold for it to be one, asserted on machines.

A dry run on a virgin host does not fail; it applies; a second time changes nothing; a dry run then
reports nothing; teardown leaves nothing of it.
"""

from __future__ import annotations

import re

from tests.twin_support.ansible import find, play
from tests.twin_support.machines import Lab

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
    r"|unit (session-|user@|user-runtime-dir@|systemd-|run-|apt-|dpkg-|e2scrub).*"
)


def accept(lab: Lab, run_name: str, *, stays: str = r"(?!)", timeout: int = 600) -> None:
    """Take a role run through the whole acceptance and apply it again at the end.

    `stays` is a regular expression of inventory lines (`user mysql`, `file /var/…`) that may outlive
    the role; the caller says why.
    """
    hosts = find(lab, run_name).hosts
    before = {host: inventory(lab, host) for host in hosts}
    play(lab, run_name, check=True, timeout=timeout).ok()
    assert {host: inventory(lab, host) for host in hosts} == before, "a dry run changed something"
    first = play(lab, run_name, timeout=timeout).ok()
    assert all(first.changed[host] for host in hosts), first.output
    unchanged(lab, run_name, timeout=timeout)
    play(lab, run_name, moment="teardown", timeout=timeout).ok()
    for host in hosts:
        left = {line for line in inventory(lab, host) - before[host] if not re.fullmatch(stays, line)}
        assert not left, f"{host} still has: {sorted(left)}"
        assert not before[host] - inventory(lab, host), f"{host} lost: {sorted(before[host] - inventory(lab, host))}"
    play(lab, run_name, timeout=timeout).ok()


def unchanged(lab: Lab, run_name: str, *, timeout: int = 600) -> None:
    """Assert that neither a second run nor a dry run has anything to do."""
    again = play(lab, run_name, timeout=timeout).ok()
    assert not any(again.changed.values()), again.output[-8000:]
    dry = play(lab, run_name, check=True, timeout=timeout).ok()
    assert not any(dry.changed.values()), dry.output[-8000:]


def inventory(lab: Lab, host: str) -> set[str]:
    """Return a host's packages, files, accounts and running services, one line each."""
    return {line for line in lab.ok(host, INVENTORY).splitlines() if not TRACES.fullmatch(line)}
