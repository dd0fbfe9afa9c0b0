"""The subnet manager's files, partitions.conf and opensm.conf, and what a host's shell reads of an Ethernet fabric."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from policies.parse.lines import keywords


@dataclass(frozen=True, slots=True)
class Partition:
    """One definition. `key` is None where the file leaves it out; then opensm takes one at random.

    `members` are GUIDs and words (ALL, SELF, ALL_SWITCHES, …) with `full`, `limited` or `both`.
    """

    name: str
    key: int | None
    members: Mapping[str, str]


def partitions(text: str) -> Iterator[Partition]:
    """Yield the definitions of a partitions.conf (opensm, doc/partition-config.txt); words in any case."""
    for rule in re.sub(r"#[^\n]*", "", text).split(";"):
        if not rule.strip():
            continue
        head, _, tail = rule.partition(":")
        first, *flags = (part.strip() for part in head.split(","))
        name, _, key = (part.strip() for part in first.partition("="))
        usual = next(
            (flag.partition("=")[2].strip().lower() for flag in flags if flag.lower().startswith("defmember")),
            "limited",
        )
        members = {}
        for part in tail.split(","):
            who, given, how = (word.strip() for word in part.partition("="))
            if who:
                members[who.lower()] = how.lower() if given else usual
        yield Partition(name, _key(key), members)


def _key(text: str) -> int | None:
    try:
        return int(text, 0) & 0x7FFF if text else None
    except ValueError:
        return None


def options(text: str) -> dict[str, str]:
    """Return the settings of an opensm.conf; the last of each name counts, `(null)` is the empty text."""
    bare = re.sub(r"#[^\n]*", "", text)
    return {found.name: "" if found.value == "(null)" else found.value for found in keywords(bare)}


def assignments(text: str) -> dict[str, str]:
    """Return the variables that a shell has after it read a file of `NAME=value`; the last of each name counts."""
    found = {}
    for line in text.splitlines():
        try:
            words = shlex.split(line, comments=True)
        except ValueError:
            words = line.split()
        for word in words:
            name, given, value = word.partition("=")
            if given:
                found[name] = value.rstrip(";")
    return found
