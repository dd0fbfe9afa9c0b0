"""Who last touched what differs, as far as the host remembers: a hint, never a proof.

Times are those of the file system, of systemd and of dpkg; people are those whose login over ssh, or whose sudo, the
journal has for that moment. Commands are left out, for they may hold secrets.
"""

from __future__ import annotations

import json
import os
import re
import time
from typing import Any

from platform_iac.provider.drift.host.tools import output

BEFORE_SECONDS = 7 * 86400
"""How long before a change a login may have begun."""

AROUND_SECONDS = 5
"""A change is noticed this much earlier or later than it was made: folders, logs and clocks have whole seconds."""

LINES = 4000
ACCEPTED = re.compile(r"Accepted (\S+) for (\S+) from (\S+) port \d+ ssh2(?:: \S+ (\S+))?")
SUDO = re.compile(r"\s*(\S+) : .*USER=(\S+)")
MOST = 4


def touched(answer: dict[str, Any]) -> dict[str, str]:
    """Return by thing (`file /etc/a`) when it changed and who was there, in words."""
    when: dict[str, float] = {}
    for path in answer["files"]:
        when["file " + path] = _changed(path)
    for name in answer["users"]:
        when["user " + name] = max(_changed("/etc/passwd"), _changed("/etc/group"))
    down = [name for name, words in answer["units"].items() if words[0] in ("stopped", "failed", "running")]
    for name, moment in _units(sorted(down)).items():
        when["unit " + name] = moment
    packages = _packages(sorted(answer["packages"]))
    when.update({"package " + name: moment for name, (moment, _) in packages.items()})
    known = {thing: moment for thing, moment in when.items() if moment}
    if not known:
        return {}
    people = _people(min(known.values()), max(known.values()))
    said = {}
    for thing, moment in known.items():
        words = ["changed " + time.strftime("%Y-%m-%d %H:%M:%S UTC", time.gmtime(moment))]
        if thing.startswith("package "):
            words += [packages[thing[8:]][1]]
        words += _there(people, moment)
        said[thing] = "; ".join(words)
    return said


def _changed(path: str) -> float:
    """Return when a file last changed in any way; of one that is gone, when its folder did."""
    for place in (path, os.path.dirname(path)):  # noqa: PTH120
        try:
            return os.lstat(place).st_ctime
        except OSError:
            continue
    return 0.0


def _units(names: list[str]) -> dict[str, float]:
    """Return when each unit last changed its state."""
    if not names:
        return {}
    words = ["systemctl", "show", "--timestamp=unix", "--property", "StateChangeTimestamp", "--", *names]
    moments = [block.partition("=@")[2].strip() for block in output(words).split("\n\n")]
    return {name: float(moment) for name, moment in zip(names, moments) if moment.isdigit()}  # noqa: B905


def _packages(asked: list[str], log: str = "/var/log/dpkg.log") -> dict[str, tuple[float, str]]:
    """Return when dpkg last did something to each package, and what."""
    names = {re.split("[=/:]", name)[0]: name for name in asked}
    found = {}
    try:
        with open(log, encoding="utf-8", errors="replace") as handle:  # noqa: PTH123
            for line in handle if names else ():
                words = line.split()
                if len(words) > 3 and words[2] in ("install", "upgrade", "remove", "purge"):
                    name = names.get(words[3].split(":")[0])
                    if name:
                        moment = time.mktime(time.strptime(" ".join(words[:2]), "%Y-%m-%d %H:%M:%S"))
                        found[name] = (moment, "dpkg: " + words[2])
    except (OSError, ValueError):
        return {}
    return found


def _people(first: float, last: float) -> list[dict[str, Any]]:
    """Return logins over ssh and uses of sudo between a week before `first` and `last`, from the journal."""
    since, until = first - BEFORE_SECONDS, last + AROUND_SECONDS
    text = output(
        ["journalctl", "--quiet", "--no-pager", "--output=json", "--output-fields=MESSAGE,_PID,SYSLOG_IDENTIFIER"]
        + [f"--since=@{int(since)}", f"--until=@{int(time.time()) + 1}", f"--lines={LINES}"]
        + ["--identifier=" + name for name in ("sshd", "sshd-session", "sudo")]
    )
    found: list[dict[str, Any]] = []
    open_now: dict[str, dict[str, Any]] = {}
    for line in text.splitlines():
        try:
            entry = json.loads(line)
            moment, message = int(entry["__REALTIME_TIMESTAMP"]) / 1e6, str(entry["MESSAGE"])
        except (ValueError, KeyError, TypeError):
            continue
        pid = str(entry.get("_PID", ""))
        login, sudo = ACCEPTED.match(message), SUDO.match(message)
        if login:
            key = " with key " + login[4] if login[4] else ""
            open_now[pid] = {"from": moment, "to": None, "who": login[2] + " was logged in from " + login[3] + key}
            found.append(open_now[pid])
        elif "session closed" in message and pid in open_now:
            open_now.pop(pid)["to"] = moment
        elif sudo and moment <= until:
            found.append({"from": moment, "to": moment, "who": sudo[1] + " used sudo as " + sudo[2].rstrip(";")})
    return found


def _there(people: list[dict[str, Any]], moment: float) -> list[str]:
    """Return who was there at a moment, each once, at most MOST."""
    first, last = moment - AROUND_SECONDS, moment + AROUND_SECONDS
    here = [person for person in people if person["from"] <= last and (person["to"] is None or person["to"] >= first)]
    once = list(dict.fromkeys(person["who"] for person in reversed(here)))
    return once[:MOST] + ([f"and {len(once) - MOST} more"] if len(once) > MOST else [])
