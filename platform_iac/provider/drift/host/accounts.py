"""Accounts of people: there, with their groups, and none that is no longer planned."""

from __future__ import annotations

import grp
import pwd
from typing import Any

from platform_iac.provider.drift.host.tools import differing

MARK = "platform-iac"
"""GECOS field of the accounts that the module `host_users` makes."""


def wrong(expected: dict[str, Any]) -> dict[str, Any]:
    """Return by account how it differs; nothing where no accounts are planned at all."""
    if not expected:
        return {}
    found = differing(expected, judge)
    for entry in pwd.getpwall():
        if entry.pw_gecos.split(",")[0] == MARK and entry.pw_name not in expected:
            found[entry.pw_name] = {"extra": True}
    return found


def judge(name: str, wanted: dict[str, Any]) -> dict[str, Any]:
    """Return how one account differs."""
    try:
        entry = pwd.getpwnam(name)
    except KeyError:
        return {"missing": True}
    found: dict[str, Any] = {}
    if entry.pw_uid != wanted["uid"]:
        found["uid"] = entry.pw_uid
    if wanted.get("shell") and entry.pw_shell != wanted["shell"]:
        found["shell"] = entry.pw_shell
    own = {group.gr_name for group in grp.getgrall() if group.gr_gid == entry.pw_gid}
    member = {group.gr_name for group in grp.getgrall() if name in group.gr_mem}
    asked = set(wanted.get("groups") or [])
    if asked - member - own:
        found["groups"] = sorted(asked - member - own)
    if member - asked - own:
        found["more_groups"] = sorted(member - asked - own)
    return found
