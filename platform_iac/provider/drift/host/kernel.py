"""What the kernel runs with: settings of sysctl, and mounts with their options."""

from __future__ import annotations

import os
import re
from typing import Any

from platform_iac.provider.drift.host.tools import differing

FLAGS = ("ro", "rw", "nodev", "nosuid", "noexec", "noatime", "nodiratime", "hard", "soft", "prjquota", "sync")
"""Options without a value that the kernel shows as they were asked for."""

VALUES = ("vers", "proto", "sec", "nconnect")
"""Options with a value that is asked for and not negotiated, judged where the kernel shows them."""


def settings(expected: dict[str, str], top: str = "/proc/sys") -> dict[str, str]:
    """Return by setting what the kernel has instead. One that this kernel does not know has no value."""
    return differing(expected, lambda name, value: _setting(os.path.join(top, name), value))  # noqa: PTH118


def _setting(path: str, wanted: str) -> str:
    try:
        with open(path, encoding="utf-8") as handle:  # noqa: PTH123
            found = " ".join(handle.read().split())
    except OSError:
        return "not known to this kernel"
    return "" if found == " ".join(wanted.split()) else f"{found} instead of {wanted}"


def mounts(expected: dict[str, Any], table: str = "/proc/self/mountinfo") -> dict[str, str]:
    """Return by mount point how it differs."""
    if not expected:
        return {}
    there = {}
    with open(table, encoding="utf-8", errors="replace") as handle:  # noqa: PTH123
        for line in handle:
            about, _, device = line.partition(" - ")
            words, (kind, source, options) = about.split(), device.split()[:3]
            there[_plain(words[4])] = (kind, _plain(source), {*words[5].split(","), *options.split(",")})
    return differing(expected, lambda path, wanted: _mount(wanted, there.get(path)))


def _mount(wanted: dict[str, Any], found: Any) -> str:
    if found is None:
        return "not mounted"
    kind, source, has = found
    if not kind.startswith(wanted["type"]):  # nfs is nfs4 to the kernel
        return f"type {kind} instead of {wanted['type']}"
    if os.path.realpath(source) != os.path.realpath(wanted["what"]) and source != wanted["what"]:
        return f"{source} instead of {wanted['what']}"
    values = dict(option.split("=", 1) for option in has if "=" in option)
    words = []
    for option in wanted["options"]:
        key, _, value = option.partition("=")
        if not value and key in FLAGS and key not in has:
            words.append(f"without {key}")
        elif value and key in VALUES and values.get(key, value) != value:
            words.append(f"{key}={values[key]} instead of {value}")
    return ", ".join(words)


def _plain(text: str) -> str:
    """Return a path as people write it: the kernel writes blanks and the like in octal."""
    return re.sub(r"\\([0-7]{3})", lambda found: chr(int(found[1], 8)), text)
