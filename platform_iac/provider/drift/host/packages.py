"""Debian packages: installed, of the version that is asked for, not below the floor."""

from __future__ import annotations

import fnmatch

from platform_iac.provider.drift.host.tools import output, status


def wrong(names: list[str], floors: dict[str, str]) -> dict[str, str]:
    """Return by package, as apt is asked for it, what is wrong: not there, another version, or one below its floor."""
    if not names:
        return {}
    installed = _installed()
    found = {}
    for asked in names:
        name, _, version = asked.split("/")[0].partition("=")
        name = name.split(":")[0]
        if name not in installed:
            found[asked] = "not installed"
        elif version and not fnmatch.fnmatch(installed[name], version):
            found[asked] = f"version {installed[name]} instead of {version}"
        elif installed[name] and name in floors and _below(installed[name], floors[name]):
            found[asked] = f"version {installed[name]}, below its floor {floors[name]}"
    return found


def _installed() -> dict[str, str]:
    """Return the version of each package that is installed; none for what only some package provides."""
    text = output(["dpkg-query", "-W", "-f", "${db:Status-Status}\t${Package}\t${Version}\t${Provides}\n"])
    found: dict[str, str] = {}
    for line in text.splitlines():
        state, package, version, provides = [*line.split("\t"), "", "", ""][:4]
        if state == "installed":
            found[package] = version
            for item in provides.split(","):
                if item.strip():
                    found.setdefault(item.split()[0], "")
    return found


def _below(version: str, floor: str) -> bool:
    return status(["dpkg", "--compare-versions", version, "lt", floor]) == 0
