"""systemd's units as it reads them: a unit's own file, then its drop-ins in the order of their names."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Final

from policies.parse.lines import Setting, sections

FOLDERS: Final = (
    "/etc/systemd/system/",
    "/run/systemd/system/",
    "/usr/local/lib/systemd/system/",
    "/usr/lib/systemd/system/",
    "/lib/systemd/system/",
)
"""Where units are; a file in an earlier folder hides one of its name in a later folder (systemd.unit(5))."""


@dataclass(frozen=True, slots=True)
class Unit:
    """One unit with its settings in the order that counts. `own` is whether its own file is there, beside drop-ins."""

    name: str
    settings: tuple[Setting, ...]
    own: bool

    def all(self, section: str, name: str) -> list[str]:
        """Return the values of a setting that is a list; an empty one takes those before it away."""
        found: list[str] = []
        for setting in self.settings:
            if (setting.section, setting.name) == (section, name):
                found = [*found, setting.value] if setting.value else []
        return found

    def last(self, section: str, name: str) -> str:
        """Return the value of a setting that is no list; the empty text where there is none."""
        return (self.all(section, name) or [""])[-1]


def units(files: Mapping[str, str], kind: str) -> Iterator[Unit]:
    """Yield the units of a kind (`service`, `mount`) from texts by path.

    Drop-ins without a unit, such as those of a package's or of another role's, are a unit without its own file.
    """
    there = [(folder, path[len(folder) :]) for folder in FOLDERS for path in files if path.startswith(folder)]
    names = {inner.partition("/")[0].removesuffix(".d") if "/" in inner else inner for _, inner in there}
    for name in sorted(names):
        if name == kind or name.endswith(f".{kind}"):
            yield _unit(name, kind, files, there)


def _unit(name: str, kind: str, files: Mapping[str, str], there: list[tuple[str, str]]) -> Unit:
    template = f"{name.partition('@')[0]}@.{kind}"
    own = next((folder + inner for wanted in (name, template) for folder, inner in there if inner == wanted), None)
    chosen: dict[str, str] = {}
    for group in (_folders(name, kind, template), [f"{kind}.d"]):
        for place in FOLDERS:
            for wanted in group:
                for folder, inner in there:
                    where, _, file = inner.partition("/")
                    if (folder, where) == (place, wanted) and file.endswith(".conf") and "/" not in file:
                        chosen.setdefault(file, folder + inner)
    read = [*([own] if own else []), *(chosen[file] for file in sorted(chosen))]
    settings = tuple(setting for path in read for setting in sections(files[path], quotes=True))
    return Unit(name, settings, own is not None)


def _folders(name: str, kind: str, template: str) -> list[str]:
    """Return the folders of a unit's own drop-ins, the nearest first: `a-b.service.d`, `a-.service.d`."""
    stem = name.removesuffix(f".{kind}")
    shorter = [stem[: place + 1] for place in reversed(range(len(stem) - 1)) if stem[place] == "-"]
    return [f"{name}.d", *([f"{template}.d"] if "@" in name else []), *(f"{each}.{kind}.d" for each in shorter)]
