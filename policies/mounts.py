"""What a role mounts from the network: NFS by mount units and fstab, CephFS by services too."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, Final

from policies.parse import lines
from policies.parse.units import units
from policies.values import UnjudgedError

if TYPE_CHECKING:
    from policies.parse.units import Unit
    from policies.target import Target

TYPES: Final = ("nfs", "nfs4", "ceph", "fuse.ceph", "lustre")
_PAIRS: Final = {"hard": "soft", "soft": "hard", "suid": "nosuid", "nosuid": "suid", "dev": "nodev", "nodev": "dev"}
_OTHER_NAMES: Final = {"nfsvers": "vers", "rdma": "proto"}


@dataclass(frozen=True, slots=True)
class Mount:
    """One mount: hosts as a hostlist, where it is, its type, and its options by name in lower case."""

    hosts: str
    where: str
    type: str
    options: Mapping[str, str]


def network_mounts(target: Target) -> Iterator[Mount]:
    """Yield every mount of a file system that other hosts see too, units with their drop-ins."""
    for hosts, files in target.groups:
        texts = {path: file.content for path, file in files.items()}
        for line in texts.get("/etc/fstab", "").splitlines():
            words = [*line.split(), ""]
            if len(words) > 3 and not words[0].startswith("#"):
                yield from _network(hosts, words[1], words[0], words[2], words[3])
        for unit in units(texts, "service"):
            yield from _of_service(hosts, unit)
        for unit in sorted(units(texts, "mount"), key=lambda unit: not unit.own):
            yield from _of_unit(hosts, unit)


def _of_unit(hosts: str, unit: Unit) -> Iterator[Mount]:
    what, kind, options = (unit.last("mount", name) for name in ("what", "type", "options"))
    if not unit.own and (what or kind or options):
        raise UnjudgedError(f"a drop-in changes {unit.name}, which this role does not hold")
    yield from _network(hosts, unit.last("mount", "where") or unit.name, what, kind, options)


def _network(hosts: str, where: str, what: str, kind: str, options: str) -> Iterator[Mount]:
    """Without a type mount(8) takes `host:/path` for NFS. What FUSE mounts has nosuid and nodev (mount.fuse(8))."""
    kind = kind.lower()
    if kind in ("", "auto") and ":" in what and not what.startswith("/"):
        kind = "nfs"
    if kind in TYPES:
        usual = "nosuid,nodev," if kind.startswith("fuse.") else ""
        yield Mount(hosts, where.rstrip("/"), kind, _options(usual + options.strip('"')))


def _of_service(hosts: str, unit: Unit) -> Iterator[Mount]:
    """A service whose command mounts CephFS: the mount point is its last word (ceph-fuse(8), mount.ceph(8))."""
    for command in unit.all("service", "execstart"):
        words = lines.words(command)
        program = words[0].lstrip("-+!@:").rpartition("/")[2] if words else ""
        given = ",".join(word for before, word in pairwise(words) if before == "-o")
        kinds = {"ceph-fuse": "fuse.ceph", "mount.ceph": "ceph", "mount": dict(pairwise(words)).get("-t", "")}
        if program in kinds:
            yield from _network(hosts, words[-1], "", kinds[program], given)


def _options(text: str) -> dict[str, str]:
    """Options by name; the last of each counts, and one of a pair takes the other away."""
    found: dict[str, str] = {}
    for word in text.lower().split(","):
        name, _, value = word.strip().partition("=")
        found.pop(_PAIRS.get(name, ""), None)
        found[_OTHER_NAMES.get(name, name)] = "rdma" if name == "rdma" else value
    return found
