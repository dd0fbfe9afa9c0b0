"""Resources as rules see them: by type, and for an Ansible role by what it puts on which hosts."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Final

from platform_iac.spec.hostlist import compress
from policies.parse import modes
from policies.values import UnjudgedError, View

ROLE: Final = "platform:ansible:Role"
NO_HOST: Final = "no host"
"""What stands for the hosts of a role that has none."""


@dataclass(frozen=True)
class File:
    """One file on a host. `mode` is None where it says nothing that can be read."""

    path: str
    content: str
    mode: int | None
    owner: str
    group: str


@dataclass(frozen=True)
class Target:
    """One resource: its type, its name and its inputs. `created` is set where a state was given."""

    type: str
    name: str
    inputs: Mapping[str, Any]
    created: str = ""

    @property
    def view(self) -> View:
        """The inputs."""
        return View(self.inputs)

    @property
    def role(self) -> str:
        """The Ansible role; empty on other resources."""
        return self.view.text("role") if self.type == ROLE else ""

    @cached_property
    def groups(self) -> tuple[tuple[str, Mapping[str, File]], ...]:
        """The hosts of a role, those with equal files together, as a hostlist with their files by path.

        A role without hosts still has its common files to judge.
        """
        common = {path: _file(path, each) for path, each in self.view.entries("files").items()}
        equal: dict[tuple[File, ...], list[str]] = {}
        for name, host in self.view.entries("hosts").items():
            own = tuple(_file(path, each) for path, each in host.entries("files").items())
            equal.setdefault(own, []).append(name)
        if not equal:
            return ((NO_HOST, common),)
        return tuple((compress(names), {**common, **{file.path: file for file in own}}) for own, names in equal.items())

    @property
    def hosts(self) -> tuple[str, ...]:
        """The names of a role's hosts."""
        return tuple(self.view.entries("hosts"))

    def files(self, *wanted: str) -> Iterator[tuple[str, File]]:
        """Yield (hosts, file) for every file with one of these paths; one that ends in `/` is a folder."""
        for hosts, files in self.groups:
            for path, file in files.items():
                if any(path == each or (each.endswith("/") and path.startswith(each)) for each in wanted):
                    yield hosts, file

    @cached_property
    def packages(self) -> tuple[str, ...]:
        """Debian packages, without architecture, version and case."""
        return tuple(text.strip().lower().split("=")[0].split(":")[0] for text in self.view.texts("packages"))

    @property
    def units(self) -> Mapping[str, View]:
        """systemd units by name."""
        return self.view.entries("units")

    def var(self, *keys: str) -> View:
        """Return one of the role's variables."""
        return self.view.at("vars", *keys)


@dataclass(frozen=True)
class Stack:
    """All resources of one stack."""

    targets: tuple[Target, ...]

    def of_type(self, *types: str) -> Iterator[Target]:
        """Yield the resources of these types; one that ends in `:` is a prefix."""
        for target in self.targets:
            if any(target.type == each or (each.endswith(":") and target.type.startswith(each)) for each in types):
                yield target

    def roles(self, *names: str) -> Iterator[Target]:
        """Yield the runs of these Ansible roles; of all without names."""
        for target in self.of_type(ROLE):
            if not names or target.role in names:
                yield target


def _file(path: str, view: View) -> File:
    mode = view.at("mode").known()
    content = view.at("content").known()
    if path != _plain(path):
        raise UnjudgedError(f"{path} is {_plain(path)} written another way — write it plainly")
    if content is not None and not isinstance(content, str):
        raise UnjudgedError(f"{view.path}.content is no text")
    return File(
        path=path,
        content=content or "",
        mode=modes.bits("0644" if mode is None else mode),
        owner=view.text("owner") or "root",
        group=view.text("group") or "root",
    )


def _plain(path: str) -> str:
    """`/etc//ssh/./x` is `/etc/ssh/x`; `..` is folded too."""
    parts: list[str] = []
    for part in path.split("/"):
        if part == "..":
            parts = parts[:-1]
        elif part not in ("", "."):
            parts.append(part)
    return "/" + "/".join(parts)
