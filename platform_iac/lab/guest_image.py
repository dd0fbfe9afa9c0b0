"""What all guests share: Debian's kernel, an initramfs, and the machines' image as a disk with the kernel's modules.

It lies in the cache, in a folder named after what it depends on. The kernel is the one that Debian had when the
folder was made; nothing is installed on this workstation. It is the ordinary `linux-image-amd64`: the one for
clouds lacks `nvme` and `rdma_rxe`.
"""

from __future__ import annotations

import hashlib
import json
import shutil
import time
from pathlib import Path

from platform_iac.lab import debian, image, initramfs, paths
from platform_iac.lab.image import Report
from platform_iac.lab.network import BRIDGE
from platform_iac.lab.paths import LabError
from platform_iac.lab.process import run

KERNEL = "linux-image-amd64"
# What a machine with a kernel of its own has beyond the image of those without one.
PACKAGES = ("kmod", "udev")
DISK_GIB = 16
# Drivers of devices that no guest has: half of all modules.
_DROPPED = ("drivers/gpu", "drivers/media", "drivers/net/wireless", "drivers/staging", "drivers/usb", "sound")
_BUILD_SECONDS = 600

# QEMU calls it with the name of the tap that it has made, which goes when QEMU goes.
_TAP = f'#!/bin/sh\nexec ip link set dev "$1" master {BRIDGE} up\n'

# Runs in a mount namespace of its own, so that nothing stays mounted when it is killed.
_DISK = """\
set -e
image=$1 build=$2 size=$3; shift 3
mkdir "$build/upper" "$build/work" "$build/root"
mount -t overlay overlay -o "lowerdir=$image,upperdir=$build/upper,workdir=$build/work,volatile" "$build/root"
mkdir "$build/root/tmp/packages"
cp "$@" "$build/root/tmp/packages"
chroot "$build/root" sh -c 'dpkg --install /tmp/packages/*.deb'
rm -r "$build/root/tmp/packages"
mv "$build/kernel/lib/modules" "$build/root/usr/lib/modules"
for version in "$build/root/usr/lib/modules"/*; do chroot "$build/root" depmod "${version##*/}"; done
mke2fs -q -t ext4 -d "$build/root" "$build/disk" "$size"
"""


def digest(root: Path) -> str:
    """Return what the folder's content depends on, as 16 hexadecimal characters; `root` is the machines' image."""
    recipe = [root.name, KERNEL, PACKAGES, DISK_GIB, _DROPPED, _TAP, _DISK, initramfs.recipe()]
    return hashlib.sha256(json.dumps(recipe).encode()).hexdigest()[:16]


def ensure(report: Report) -> Path:
    """Return the folder with `kernel`, `initrd`, `disk` (raw, sparse, read-only by habit) and `tap-up`.

    Raises:
        LabError: a package cannot be downloaded, or the disk cannot be made.
    """
    root = image.ensure(report)
    guests = paths.cache() / "guests"
    made = guests / digest(root)
    if made.exists():
        return made
    with paths.locked(guests / ".lock"):
        if not made.exists():
            for leftover in guests.glob(".build-*"):
                shutil.rmtree(leftover)
            _build(made, root, report)
    return made


def _build(made: Path, root: Path, report: Report) -> None:
    started = time.monotonic()
    build = made.with_name(f".build-{made.name}")
    build.mkdir()
    report(f"guest image: Debian's kernel, and a disk with {', '.join(PACKAGES)} more than the machines' image")
    kernel = _one(debian.download([KERNEL], root, report), "linux-image-[0-9]*")
    busybox = _one(debian.download(["busybox-static"], root, report), "busybox-static_*")
    for package, name in ((kernel, "kernel"), (busybox, "busybox")):
        run(["dpkg-deb", "--extract", package, build / name])
    for modules in (build / "kernel/lib/modules").iterdir():
        for name in _DROPPED:
            shutil.rmtree(modules / "kernel" / name)
    packages = debian.download(PACKAGES, root, report)
    alone = ["setpriv", "--pdeathsig", "KILL", "unshare", "--mount", "--pid", "--fork", "--kill-child"]
    quiet = ["env", "LC_ALL=C", "DEBIAN_FRONTEND=noninteractive"]
    made_by = ["sh", "-c", _DISK, "sh", str(root), str(build), f"{DISK_GIB}G", *map(str, packages)]
    run([*alone, *quiet, *made_by], timeout_seconds=_BUILD_SECONDS)
    (modules,) = (build / "upper/usr/lib/modules").iterdir()
    (binary,) = (build / "busybox").glob("**/bin/busybox")
    (build / "initrd").write_bytes(initramfs.base(binary.read_bytes(), modules))
    (vmlinuz,) = (build / "kernel/boot").glob("vmlinuz-*")
    vmlinuz.rename(build / "kernel-image")
    for name in ("upper", "work", "root", "kernel", "busybox"):
        shutil.rmtree(build / name)
    (build / "kernel-image").rename(build / "kernel")
    (build / "tap-up").write_text(_TAP, encoding="utf-8")
    (build / "tap-up").chmod(0o755)
    build.rename(made)
    report(f"guest image: ready after {time.monotonic() - started:.0f} s, kernel {modules.name}")


def _one(packages: list[Path], pattern: str) -> Path:
    """The package of this name among those downloaded with it."""
    found = [path for path in packages if path.match(pattern)]
    if len(found) != 1:
        raise LabError(f"apt has {len(found)} packages {pattern}, not one — look at /etc/apt/sources.list.d")
    return found[0]
