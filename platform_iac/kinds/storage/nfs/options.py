"""What a host mounts with: exactly the options that end in its unit file, and the proof that they hold."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final
from zlib import crc32

from platform_iac.kinds.storage import _shared
from platform_iac.kinds.storage.nfs.profiles import wanted_connections
from platform_iac.plan.context import PlanError

if TYPE_CHECKING:
    from platform_iac.kinds.storage.nfs.spec import Spec
    from platform_iac.plan.model import Host

WAITS: Final = ("nofail", "retry=10000")
"""For a week mount tries to reach the server again (nfs(5)). Only who needs the mount waits (systemd.mount(5)): slurmd,
and people's logins for their homes; nothing else at boot. The kernel shows neither."""

ROOT: Final = "/srv/nfs"
"""Where a server of ours has its file system; each export is a folder of it."""


def rate_gbps(spec: Spec, host: Host) -> int:
    """Return what the ports of the storage's network carry together on a host; 0 where it has none."""
    return sum(nics.rate_gbps * nics.count for nics in host.hardware.nics if nics.purpose == spec.network)


def connections(name: str, spec: Spec, host: Host) -> int:
    """Return how many connections a client opens.

    Raises:
        PlanError: fewer than the maker's rule asks for this host's ports.
    """
    if spec.vendor_client and spec.server:
        beside = spec.profile.metadata_connections.get(spec.spoken, 0)
        wanted = wanted_connections(spec.transport, rate_gbps(spec, host))
        ports = len(spec.server.addresses)
        even = -(-wanted // ports) * ports + beside
        if spec.nconnect is not None and spec.nconnect < wanted + beside:
            raise PlanError(
                f"storage.{name}.nconnect: {host.name} has {rate_gbps(spec, host)} Gb/s, for which "
                f"{spec.server.profile} asks {even} connections over {spec.transport.upper()}, not {spec.nconnect} — "
                "raise it, or leave it out"
            )
        return spec.nconnect or even
    if spec.transport == "rdma":
        return 1
    return spec.nconnect or spec.profile.nconnect


def address(spec: Spec, server: Host | None, client: Host) -> str:
    """Return the address that a client mounts from. Many addresses are shared out by the clients' names."""
    if spec.server:
        many = spec.server.addresses
        return many[0] if spec.vendor_client else many[crc32(client.name.encode()) % len(many)]
    assert server is not None, "one of both serves it (spec)"
    return (spec.served_by and spec.served_by.address) or server.address


def source(name: str, spec: Spec, server: Host | None, client: Host) -> str:
    """Return `address:path` of what a client mounts."""
    path = spec.server.export if spec.server else f"{ROOT}/{name}"
    return f"{address(spec, server, client)}:{path}"


def options(name: str, spec: Spec, client: Host) -> str:
    """Return the mount options of a client.

    `hard` because an interrupted write must never look like a finished one; `nosuid,nodev` because what
    lies on shared storage must not make anyone root.
    """
    count = connections(name, spec, client)
    words = [f"vers={spec.spoken}", f"proto={spec.transport}", f"port={spec.listens}"]
    if spec.spoken == "3" and spec.transport == "rdma":
        words.append("mountproto=tcp")  # the mount protocol of NFS 3 has no RDMA
    if count > 1:
        words.append(f"nconnect={count}")
    words += spec.profile.options[spec.transport]
    if spec.vendor_client and spec.server:
        words += [*spec.profile.vendor[spec.spoken], f"remoteports={'~'.join(spec.server.addresses)}"]
    return ",".join([*words, "hard", "nodev", "nosuid", f"sec={spec.security}", *WAITS])


def export_number(name: str, daemon: str) -> int:
    """Return the number that every file handle of an export begins with: of its name alone.

    Clients hold handles for as long as they mount, so whatever else is exported must not change it. The
    kernel's fsid has 32 bits, Ganesha's Export_Id has 16; 0 is the root of all exports in both.
    """
    return _shared.number("export", name) if daemon == "knfsd" else 1 + crc32(name.encode()) % 65535


def read_ahead_kib(spec: Spec) -> int:
    """Return 15 transfers, what Linux read ahead before 5.4 made it 128 KiB (NFS_MAX_READAHEAD)."""
    found = next(int(word.partition("=")[2]) for word in spec.profile.options[spec.transport] if "rsize=" in word)
    return 15 * found // 1024


def section(path: str) -> tuple[str, ...]:
    """Return the command that prints what the kernel knows about one mount: its options and its connections."""
    return ("sed", "-n", rf"\, mounted on {path} with fstype nfs,,/^device /p", "/proc/self/mountstats")


def proof(name: str, spec: Spec, client: Host) -> str:
    """Return the expression that `section` shows when version, transport and connections are as planned.

    Options alone prove nothing: a mount of a server that is mounted already shares the first one's
    connections whatever its options say, so each connection must be there, over the right transport.
    """
    said = rf"opts:\s+\S*\bvers={re.escape(spec.spoken)}(\.\d+)?\b\S*\bproto={spec.transport}\b"
    return rf"{said}[\s\S]*?(xprt:\s+{spec.transport} .*\s+){{{connections(name, spec, client)}}}"
