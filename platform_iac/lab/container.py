"""The body of an ordinary machine: a systemd-nspawn container on an overlay over the shared image."""

from __future__ import annotations

import contextlib
import uuid
from pathlib import Path
from typing import TYPE_CHECKING

from platform_iac.lab import cgroups, disk, network, paths
from platform_iac.lab.paths import LabError
from platform_iac.lab.process import detach, joining, kept
from platform_iac.lab.services import inside

if TYPE_CHECKING:
    from platform_iac.lab.machine import Machine
    from platform_iac.lab.network import Network

BOOT_SECONDS = 120
LOGIN_SECONDS = 15
# nspawn ends with this status when the machine asked for a reboot; whoever started it starts it again.
REBOOT = 133


def prepare(net: Network, made: Machine, folder: Path) -> str:
    """Make the disk with the machine's identity on it and return the host's public key."""
    disk.mount(folder, Path(made.image))
    return disk.plant(folder / "root", net, made.name, made.address, uuid.UUID(made.instance))


def leader(lab: str, name: str) -> int | None:
    """Return the process that is the machine's own PID 1, None while it is off."""
    for pid in cgroups.processes(lab, name):
        with contextlib.suppress(OSError):
            for line in Path(f"/proc/{pid}/status").read_text(encoding="utf-8").splitlines():
                if line.startswith("NSpid:") and line.split()[2:] == ["1"]:
                    return pid
    return None


def running(lab: str, name: str) -> bool:
    """Tell whether the machine is on."""
    return leader(lab, name) is not None


def boot(net: Network, known: Machine) -> None:
    """Start the machine, which is off; returns at once.

    Raises:
        LabError: a folder that it is to see is not there.
    """
    folder = paths.machine(net.lab, known.name)
    for bind in known.binds:
        if not Path(bind.source).exists():
            raise LabError(f"{net.lab}/{known.name}: {bind.source} is to be bound, and is not there")
    disk.mount(folder, Path(known.image))
    argv = joining(cgroups.create(net.lab, known.name), boot_argv(net, known, folder / "root"))
    detach(kept(argv, again=REBOOT), cgroups=cgroups.create(net.lab, keeper(known.name)), log=folder / "console.log")


def coming(lab: str, name: str) -> bool:
    """Tell whether the machine may still come up by itself."""
    return bool(cgroups.processes(lab, keeper(name)))


def answers(net: Network, known: Machine) -> bool:
    """Tell whether sshd listens; asked from outside, which costs the machine nothing."""
    return _listens(leader(net.lab, known.name), 22)


def keeper(name: str) -> str:
    """The cgroup of the shell that starts the machine again; beside the machine's, which version 2 wants empty."""
    return f"_keeper-{name}"


def boot_argv(net: Network, known: Machine, root: Path) -> list[str]:
    """The command that is the machine while it runs. `-M` is unique on the workstation; the host name is not."""
    options = [
        "--quiet",
        "--keep-unit",
        "--register=no",
        f"--machine={net.lab}-{known.name}",
        f"--hostname={known.name}",
        f"--directory={root}",
        f"--network-bridge={network.BRIDGE}",
        "--link-journal=no",
        "--resolv-conf=off",
        "--timezone=off",
        "--settings=no",
        "--console=read-only",
    ]
    # Shared file systems are mounted in user space: the workstation's kernel may have no other client.
    options += ["--bind=/dev/fuse"] if Path("/dev/fuse").exists() else []
    binds = [f"--bind{'' if bind.writable else '-ro'}={bind.source}:{bind.target}" for bind in known.binds]
    return [*inside(net.lab), "systemd-nspawn", *options, *binds, "--boot"]


def _listens(pid: int | None, port: int) -> bool:
    """Whether a TCP socket listens (state 0A) on this port in the network of this process."""
    for family in ("tcp", "tcp6") if pid else ():
        with contextlib.suppress(OSError):
            for line in Path(f"/proc/{pid}/net/{family}").read_text(encoding="utf-8").splitlines()[1:]:
                local, state = line.split()[1], line.split()[3]
                if state == "0A" and int(local.rpartition(":")[2], 16) == port:
                    return True
    return False
