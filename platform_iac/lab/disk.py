"""A machine's disk: an overlay over the image, and the identity that is planted on it before boot."""

from __future__ import annotations

import ipaddress
import os
import shutil
import time
import uuid
from pathlib import Path

from platform_iac.lab import paths
from platform_iac.lab.network import Network
from platform_iac.lab.paths import LabError
from platform_iac.lab.process import run

_LAYERS = ("upper", "work", "root")


def mount(folder: Path, image: Path) -> None:
    """Mount the machine's root at `<folder>/root`; mounted already is fine.

    The overlay is volatile: it never syncs, which makes package installation several times faster.
    A crash of the workstation itself may therefore cost a machine its disk; a crash of the machine
    does not. The kernel's marker that refuses a second mount is removed, so that a workstation that
    was shut down in order finds its machines again.
    """
    root = folder / "root"
    if os.path.ismount(root):
        return
    for name in _LAYERS:
        (folder / name).mkdir(exist_ok=True)
    shutil.rmtree(folder / "work" / "work" / "incompat", ignore_errors=True)
    layers = f"lowerdir={image},upperdir={folder / 'upper'},workdir={folder / 'work'},volatile"
    run(["mount", "-t", "overlay", "-o", layers, f"platform-iac-{folder.parent.parent.name}", root])


def remove(folder: Path) -> None:
    """Unmount and remove the machine's folder; not there is fine.

    Raises:
        LabError: something else is mounted below it, or it stays busy.
    """
    if not folder.exists():
        return
    _unmount(folder / "root")
    mounts = Path("/proc/self/mountinfo").read_text(encoding="utf-8")
    if below := [line.split()[4] for line in mounts.splitlines() if line.split()[4].startswith(f"{folder}/")]:
        raise LabError(f"{below[0]} is still mounted — unmount it, then delete again")
    shutil.rmtree(folder)


def _unmount(root: Path, *, timeout_seconds: float = 10) -> None:
    """Unmount; the kernel may take a moment to let go of a namespace whose processes are gone."""
    end = time.monotonic() + timeout_seconds
    while os.path.ismount(root):
        try:
            run(["umount", root])
        except LabError:
            if time.monotonic() > end:
                raise
            time.sleep(0.1)


def identity(net: Network, name: str, address: str, instance: uuid.UUID) -> dict[str, tuple[int, str]]:
    """The files that make a root this machine and no other: path to mode and text."""
    prefix = ipaddress.IPv4Network(net.cidr).prefixlen
    return {
        "etc/hostname": (0o644, f"{name}\n"),
        "etc/hosts": (0o644, "127.0.0.1 localhost\n::1 localhost ip6-localhost\n"),
        "etc/machine-id": (0o444, f"{instance.hex}\n"),
        "etc/resolv.conf": (0o644, f"nameserver {net.gateway}\nsearch {net.domain}\n"),
        "etc/systemd/network/10-host0.network": (
            0o644,
            f"[Match]\nName=host0\n\n[Network]\nAddress={address}/{prefix}\nLinkLocalAddressing=no\nIPv6AcceptRA=no\n",
        ),
        "root/.ssh/authorized_keys": (0o600, f"{net.public_key}\n"),
    }


def plant(root: Path, net: Network, name: str, address: str, instance: uuid.UUID) -> str:
    """Write the identity and a new host key into a root that has never booted; return the public key."""
    (root / "root/.ssh").mkdir(mode=0o700, exist_ok=True)
    for path, (mode, text) in identity(net, name, address, instance).items():
        paths.write(root / path, text, mode)
    key = root / "etc/ssh/ssh_host_ed25519_key"
    for leftover in (key, key.with_name(f"{key.name}.pub")):
        leftover.unlink(missing_ok=True)
    run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "", "-f", key])
    return " ".join(key.with_name(f"{key.name}.pub").read_text(encoding="utf-8").split()[:2])
