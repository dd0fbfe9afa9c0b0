"""Line-oriented configuration: keyword files (sshd, chrony), `Key=Value` files (Slurm), sections (systemd, INI)."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Setting:
    """One setting: its name in lower case, its value, and the section or block that it is in."""

    name: str
    value: str
    section: str = ""


def joined(text: str) -> Iterator[str]:
    """Yield lines, those that end in a backslash with the next one."""
    held = ""
    for line in text.splitlines():
        if line.endswith("\\"):
            held += line[:-1] + " "
        else:
            yield held + line
            held = ""
    if held:
        yield held


def sshd(text: str) -> Iterator[Setting]:
    """Yield the settings of an sshd_config(5): keywords in any case, `=` or space, quotes, Match blocks."""
    block = ""
    for line in text.splitlines():
        found = re.fullmatch(r"\s*([A-Za-z0-9]+)(?:\s*=\s*|\s+)(.*?)\s*", line)
        if found is None:
            continue
        name, value = found[1].lower(), _unquoted(re.sub(r"\s+#.*", "", found[2]))
        if name == "match":
            block = f"Match {value}"
        else:
            yield Setting(name, value, block)


def _unquoted(text: str) -> str:
    return text[1:-1].strip() if len(text) > 1 and text[0] == text[-1] == '"' else text


def keywords(text: str, comments: str = "#") -> Iterator[Setting]:
    """Yield `keyword rest` lines, as of chrony.conf(5) and opensm.conf; keywords in any case."""
    for line in text.splitlines():
        stripped = line.strip()
        if stripped and stripped[0] not in comments:
            name, _, rest = stripped.partition(" ") if " " in stripped else stripped.partition("\t")
            yield Setting(name.lower(), rest.strip())


def equals(text: str) -> Iterator[tuple[Setting, ...]]:
    """Yield each line of a Slurm file as its `Key=Value` pairs, keys in any case, values without quotes.

    slurm.conf(5): names are case-insensitive, a backslash joins lines, `#` begins a comment.
    """
    for line in joined(text):
        bare = re.sub(r"(?<!\\)#.*", "", line).strip()
        pairs = re.findall(r"([A-Za-z][A-Za-z0-9_]*)\s*\+?=\s*(\"[^\"]*\"|\S*)", bare)
        if pairs:
            yield tuple(Setting(name.lower(), value.strip('"')) for name, value in pairs)
        elif bare.lower().startswith("include"):
            yield (Setting("include", bare[7:].strip()),)


def sections(text: str, *, quotes: bool = False) -> Iterator[Setting]:
    """Yield the settings of a file with `[Section]`s: systemd units, INI files, MariaDB's and Ceph's.

    Names in lower case with `-` and spaces as `_`; a name without a value has the empty one. With `quotes` values keep
    theirs: `"A=b" "C=d"` is two words.
    """
    section = ""
    for line in joined(text):
        stripped = line.strip()
        if not stripped or stripped[0] in "#;":
            continue
        if stripped[0] == "[" and "]" in stripped:
            section = stripped[1 : stripped.index("]")].strip().lower()
            continue
        name, _, value = stripped.partition("=")
        bare = value.strip() if quotes else _unquoted(value.strip())
        yield Setting(re.sub(r"[-\s]+", "_", name.strip().lower()), bare, section)


def environment(text: str) -> dict[str, str]:
    """Return the variables of an EnvironmentFile= (systemd.exec(5)); the last of each name counts."""
    found = {}
    for line in joined(text):
        name, given, value = line.strip().partition("=")
        if given and name[:1] not in ("", "#", ";"):
            found[name.strip()] = " ".join(words(value))
    return found


def words(command: str) -> list[str]:
    """Return a command line's words; what cannot be read as a shell would is split at spaces."""
    try:
        return shlex.split(command)
    except ValueError:
        return command.split()


def options(command: str) -> dict[str, list[str]]:
    """Return a command's `--name value` and `--name=value` options, each with all its values."""
    found: dict[str, list[str]] = {}
    parts = words(command)
    for place, part in enumerate(parts):
        if part.startswith("--"):
            name, given, value = part[2:].partition("=")
            after = parts[place + 1] if place + 1 < len(parts) else ""
            found.setdefault(name.lower(), []).append(value if given else "" if after.startswith("--") else after)
    return found
