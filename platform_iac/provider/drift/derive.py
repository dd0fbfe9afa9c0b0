"""What a role's files promise of a host's kernel: settings of sysctl and mounts, read from the text that is shipped."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from platform_iac.provider import wanted

SYSCTL = re.compile(r"(/etc|/usr/lib)/sysctl\.d/[^/]+\.conf|/etc/sysctl\.conf")
MOUNT_UNIT = re.compile(r"(?:/etc|/usr/lib|/lib)/systemd/system/([^/]+\.mount)")


def settings(inputs: Mapping[str, Any], host: str) -> dict[str, str]:
    """Return each setting of the files in sysctl.d by its path below /proc/sys; the last file by name wins.

    Patterns and settings that may fail (`-name`) promise nothing (sysctl.d(5)).
    """
    found: dict[str, str] = {}
    files = [(path, file) for path, file in wanted.files(inputs, host).items() if SYSCTL.fullmatch(path)]
    for _, file in sorted(files, key=lambda item: item[0].rpartition("/")[2]):
        for line in file["content"].splitlines():
            name, equals, value = (part.strip() for part in line.partition("="))
            if equals and name[:1] not in ("", "#", ";", "-") and not set("*?[") & set(name):
                found[_path(name)] = value
    return found


def mounts(inputs: Mapping[str, Any], host: str) -> dict[str, dict[str, Any]]:
    """Return each mount point with what is mounted there: of the planned units that run, and of fstab."""
    units: Mapping[str, Any] = inputs.get("units") or {}
    found = {}
    for path, file in wanted.files(inputs, host).items():
        unit = MOUNT_UNIT.fullmatch(path)
        if unit and units.get(unit[1], {"running": False}).get("running", True):
            section = dict(_section(file["content"]))
            about = _mount(section["What"], section.get("Type", ""), section.get("Options", ""))
            found[section["Where"]] = {**about, "unit": unit[1]}
        elif path == "/etc/fstab":
            found |= {where: about for where, about in _fstab(file["content"]) if where.startswith("/")}
    return found


def _path(name: str) -> str:
    """Return a setting's path. Where its first separator is a slash, dots are part of names."""
    first = re.search(r"[./]", name)
    return name if first is None or first[0] == "/" else name.translate(str.maketrans("./", "/."))


def _section(text: str) -> Iterator[tuple[str, str]]:
    inside = False
    for line in text.splitlines():
        if line.startswith("["):
            inside = line.strip() == "[Mount]"
        elif inside and "=" in line and line[:1] not in "#;":
            name, _, value = line.partition("=")
            yield name.strip(), value.strip()


def _fstab(text: str) -> Iterator[tuple[str, dict[str, Any]]]:
    for line in text.splitlines():
        words = line.split()
        if len(words) >= 4 and not line.startswith("#") and "noauto" not in words[3].split(","):
            yield words[1], _mount(words[0], words[2], words[3])


def _mount(what: str, kind: str, options: str) -> dict[str, Any]:
    return {"what": what, "type": kind, "unit": "", "options": [word for word in options.split(",") if word]}
