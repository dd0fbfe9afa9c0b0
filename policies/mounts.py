"""What a role mounts from the network: NFS by mount units and fstab, CephFS by services too."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from policies.parse import lines

if TYPE_CHECKING:
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
    """Yield every mount of a file system that other hosts see too."""
    for hosts, files in target.groups:
        for path, file in files.items():
            if path.endswith(".mount"):
                found = {each.name: each.value for each in lines.sections(file.content) if each.section == "mount"}
                where, kind, options = found.get("where", path), found.get("type", ""), found.get("options", "")
                yield from _network(hosts, where, kind, options)
            elif path == "/etc/fstab":
                for line in file.content.splitlines():
                    words = line.split()
                    if len(words) > 3 and not words[0].startswith("#"):
                        yield from _network(hosts, words[1], words[2], words[3])
            elif path.startswith("/etc/systemd/system/") and path.endswith(".service"):
                yield from _of_service(hosts, file.content)


def _network(hosts: str, where: str, kind: str, options: str) -> Iterator[Mount]:
    if kind.lower() in TYPES:
        yield Mount(hosts, where.rstrip("/"), kind.lower(), _options(options))


def _of_service(hosts: str, text: str) -> Iterator[Mount]:
    """A service whose command mounts CephFS: the mount point is its last word (ceph-fuse(8), mount.ceph(8))."""
    for setting in lines.sections(text):
        words = lines.words(setting.value) if setting.name == "execstart" else []
        program = words[0].lstrip("-+!@:").rpartition("/")[2] if words else ""
        kernel = program == "mount" and "-t" in words and words[words.index("-t") + 1] == "ceph"
        if program == "ceph-fuse" or kernel:
            given = words[words.index("-o") + 1] if "-o" in words[:-1] else ""
            yield from _network(hosts, words[-1], "ceph", given)


def _options(text: str) -> dict[str, str]:
    """Options by name; the last of each counts, and one of a pair takes the other away."""
    found: dict[str, str] = {}
    for word in text.lower().split(","):
        name, _, value = word.strip().partition("=")
        found.pop(_PAIRS.get(name, ""), None)
        found[_OTHER_NAMES.get(name, name)] = "rdma" if name == "rdma" else value
    return found
