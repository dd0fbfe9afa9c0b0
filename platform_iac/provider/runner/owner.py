"""Whose a host is, and who works on it: one small file on the host, `take`n before a role runs there.

Sent over ssh as text: standard library only, Python 3.9 or newer. A host belongs to one platform, from its first role
to the teardown of its last; another one's `up` is refused, be it from another computer or of another stack. Two runs
of one platform from two computers, whose backends do not see each other, are told apart by `by`: a run counts as alive
while the connection that it came over does, so one that was killed holds nothing.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import shlex
import sys
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

PATH = "/var/lib/platform-iac/owner.json"
MOST_SECONDS = 3600
"""A run whose connection nobody has closed is over after this."""

FOREIGN = "belongs to another platform"


def take(me: dict[str, Any], path: str = PATH) -> str:
    """Write down that `me` works on this host; return why not, or nothing.

    `me` has `platform`, `stack`, `by`, `place` (the computer and user, as an id), `role`, and `over` to take the host
    from another platform.
    """
    with _held(path):
        owner = _read(path)
        if owner and owner["platform"] != me["platform"]:
            if not me.get("over"):
                return foreign(owner)
            owner = {}
        run = owner.get("run") or {}
        if run and run["place"] != me["place"] and _alive(run):
            since, role = _said(run["since"]), run["role"]
            return f"{run['by']} is at work here since {since} (role {role}) — wait for that run to end"
        now = int(time.time())
        roles = sorted({*(role.partition("@")[0] for role in owner.get("roles", [])), me["role"]})  # was: role@site
        own = {"platform": me["platform"], "stack": me["stack"], "since": owner.get("since", now), "roles": roles}
        run = {"by": me["by"], "place": me["place"], "role": me["role"], "since": now, "connection": connection()}
        _write(path, {**own, "by": me["by"], "run": run})
    return ""


def leave(me: dict[str, Any], path: str = PATH) -> None:
    """Forget a role that is torn down here, and with the last one the platform."""
    with _held(path):
        owner = _read(path)
        if not owner or owner["platform"] != me["platform"]:
            return
        roles = [role for role in owner["roles"] if role != me["role"]]
        if roles:
            _write(path, {**owner, "roles": roles})
        else:
            os.unlink(path)  # noqa: PTH108
    if not roles:
        with contextlib.suppress(OSError):
            os.rmdir(os.path.dirname(path))  # noqa: PTH106, PTH120


def foreign(owner: dict[str, Any]) -> str:
    """Return whose a host is, in words."""
    last = _said((owner.get("run") or owner)["since"])
    stack, by = f"{owner['stack']} ({owner['platform']})", owner["by"]
    return f"{FOREIGN}: stack {stack}, applied by {by}, last at {last}"


def command(verb: str, me: Mapping[str, Any]) -> str:
    """Return the shell command that does it on a host."""
    return shlex.join(["python3", "-c", Path(__file__).read_text(encoding="utf-8"), verb, json.dumps(me)])


def connection() -> str:
    """Return the sshd that we run below as `pid start`, which names a process for good; empty where there is none."""
    pid = os.getppid()
    while pid > 1:
        found = _stat(pid)
        if found is None:
            return ""
        name, parent, started = found
        if name.startswith("sshd"):
            return f"{pid} {started}"
        pid = parent
    return ""


def _alive(run: dict[str, Any]) -> bool:
    pid, _, started = run["connection"].partition(" ")
    found = _stat(int(pid)) if pid else None
    return found is not None and found[2] == started and time.time() < run["since"] + MOST_SECONDS


def _stat(pid: int) -> tuple[str, int, str] | None:
    """Return a process's name, its parent and when it began."""
    try:
        with open(f"/proc/{pid}/stat", encoding="utf-8", errors="replace") as handle:  # noqa: PTH123
            before, _, after = handle.read().rpartition(")")
    except OSError:
        return None
    words = after.split()
    return before.partition("(")[2], int(words[1]), words[19]


@contextlib.contextmanager
def _held(path: str) -> Iterator[None]:
    """Let no other run read or write the file; the kernel lets go when we end."""
    folder = os.path.dirname(path)  # noqa: PTH120
    os.makedirs(folder, mode=0o755, exist_ok=True)  # noqa: PTH103
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def _read(path: str) -> dict[str, Any]:
    try:
        with open(path, encoding="utf-8") as handle:  # noqa: PTH123
            return dict(json.load(handle))
    except FileNotFoundError:
        return {}


def _write(path: str, owner: dict[str, Any]) -> None:
    with open(path + ".new", "w", encoding="utf-8") as handle:  # noqa: PTH123
        json.dump(owner, handle, indent=1, sort_keys=True)
        handle.write("\n")
    os.replace(path + ".new", path)  # noqa: PTH105


def _said(moment: float) -> str:
    return time.strftime("%Y-%m-%d %H:%M UTC", time.gmtime(moment))


def main(verb: str, me: dict[str, Any]) -> int:
    """Do what the provider asks; 1 where the host is refused, with the reason."""
    if verb == "leave":
        leave(me)
        return 0
    why = take(me)
    sys.stderr.write(why and why + "\n")
    return 1 if why else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1], json.loads(sys.argv[2])))
