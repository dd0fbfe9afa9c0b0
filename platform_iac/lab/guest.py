"""The body of a machine with a kernel of its own: a QEMU guest on the lab's bridge.

It is for what the workstation's kernel may not have: NFS, md, XFS quotas, NVMe, RDMA. Roles see no difference but
these: the kernel, its clock and its limits are the guest's own, and cgroups are version 2.

Without KVM it is emulated, on two threads: it then took 14 s to the first login on two cores, with
four drives.
"""

from __future__ import annotations

import shutil
import uuid
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from platform_iac.lab import cgroups, disk, initramfs, paths
from platform_iac.lab.paths import LabError
from platform_iac.lab.process import detach, run
from platform_iac.lab.services import inside

if TYPE_CHECKING:
    from platform_iac.lab.machine import Machine
    from platform_iac.lab.network import Network

BOOT_SECONDS = 300
LOGIN_SECONDS = 60
COMMANDS = {"qemu-system-x86_64": "qemu-system-x86", "qemu-img": "qemu-utils"}
"""What guests need on this workstation beyond what every machine needs: commands and Debian's packages."""

_CONSOLE = "console=ttyS0 panic=-1 net.ifnames=0"
# An emulated processor has no such flaws, and audit only costs time. Its counter is good: a kernel that does not trust
# it leaves every look at the clock to an emulated timer.
_CHEAP = "mitigations=off audit=0 apparmor=0 no_timer_check tsc=reliable"
# No fsync reaches the workstation's disk, as with the other machines' overlays: a crash of the workstation may cost
# the disk. A guest that dies, however it dies, has its writes in the workstation's page cache.
_CACHE = "cache=unsafe,discard=unmap"
# x86-64-v2, which programs of today ask for at most. With all that QEMU can emulate Python is a tenth slower: wide
# registers cost more there than they save.
_CPU = "qemu64,+cx16,+lahf-lm,+popcnt,+ssse3,+sse4.1,+sse4.2"
_FOLDERS = ("etc/ssh", "etc/systemd/network", "root")


@dataclass(frozen=True, slots=True, kw_only=True)
class Guest:
    """What a guest is made of. Each drive is an emulated NVMe of so many MiB, a sparse file that `delete` removes."""

    memory_mib: int = 1024
    cpus: int = 2
    drives_mib: tuple[int, ...] = ()


def missing() -> dict[str, str]:
    """The commands that guests need and this workstation lacks, with the packages that have them."""
    return {command: package for command, package in COMMANDS.items() if shutil.which(command) is None}


def lacking() -> str:
    """Say what is missing for guests and what to do; nothing where all is there."""
    absent = missing()
    return f"guests need {', '.join(absent)} — apt-get install {' '.join(absent.values())}" if absent else ""


def accelerated() -> bool:
    """Tell whether the processor itself can run guests.

    `/dev/kvm` alone does not say so: a workstation that is a virtual machine may have one that only runs kernels
    made for it (`kvm_pvm`), and Debian's hangs there. The way with KVM has not been run.
    """
    flags = Path("/proc/cpuinfo").read_text(encoding="utf-8").split()
    return Path("/dev/kvm").exists() and not {"vmx", "svm"}.isdisjoint(flags)


def prepare(net: Network, made: Machine, folder: Path) -> str:
    """Make disk and drives, and the identity that the first boot plants; return the host's public key.

    Raises:
        LabError: QEMU is not installed.
    """
    if why := lacking():
        raise LabError(why)
    image, body = Path(made.image), made.guest or Guest()
    root = folder / "identity"
    for path in _FOLDERS:
        (root / path).mkdir(parents=True, exist_ok=True)
    (root / "root").chmod(0o700)
    host_key = disk.plant(root, net, made.name, made.address, uuid.UUID(made.instance))
    initrd = (image / "initrd").read_bytes() + initramfs.identity(root)
    (folder / "initrd").touch(mode=0o600)
    (folder / "initrd").write_bytes(initrd)
    shutil.rmtree(root)
    backing = ["-b", str(image / "disk"), "-F", "raw"]
    run(["qemu-img", "create", "-q", "-f", "qcow2", *backing, folder / "disk.qcow2"])
    for number, size_mib in enumerate(body.drives_mib):
        with (folder / f"drive{number}").open("wb") as drive:
            drive.truncate(size_mib * 2**20)
    return host_key


def running(lab: str, name: str) -> bool:
    """Tell whether the guest is on: QEMU is all that there ever is in its cgroups."""
    return bool(cgroups.processes(lab, name))


coming = running


def boot(net: Network, known: Machine) -> None:
    """Start the guest, which is off; returns at once."""
    folder = paths.machine(net.lab, known.name)
    argv = boot_argv(net, known, folder)
    detach(argv, cgroups=cgroups.create(net.lab, known.name), log=folder / "console.log")


def answers(net: Network, known: Machine) -> bool:
    """Tell whether sshd greets: that costs an emulated guest less than a login."""
    target = f"TCP:{known.address}:22,connect-timeout=2,readbytes=4"
    try:
        said = run([*inside(net.lab), "timeout", "5", "socat", "-u", target, "-"], timeout_seconds=10)
    except LabError:
        return False
    return said.startswith("SSH-")


def boot_argv(net: Network, known: Machine, folder: Path) -> list[str | Path]:
    """The command that is the guest while it runs.

    Its tap is made by QEMU and goes with it; the kernel takes the address from the identity, as every machine does.
    """
    image = Path(known.image)
    body = known.guest or Guest()
    processor = ["-accel", "kvm", "-cpu", "host"] if accelerated() else ["-accel", "tcg,thread=multi", "-cpu", _CPU]
    argv: list[str | Path] = [*inside(net.lab), "qemu-system-x86_64", "-name", f"{net.lab}-{known.name}"]
    argv += ["-M", "q35", *processor, "-smp", str(body.cpus), "-m", str(body.memory_mib)]
    argv += ["-nodefaults", "-no-user-config", "-display", "none", "-monitor", "none"]
    argv += ["-chardev", f"file,id=console,path={folder}/console.log,append=on", "-serial", "chardev:console"]
    argv += ["-kernel", image / "kernel", "-initrd", folder / "initrd", "-append", f"{_CONSOLE} {_CHEAP}"]
    argv += ["-drive", f"if=virtio,format=qcow2,file={folder}/disk.qcow2,{_CACHE}"]
    argv += ["-netdev", f"tap,id=net,script={image}/tap-up,downscript=no"]
    argv += ["-device", f"virtio-net-pci,netdev=net,romfile=,mac={_mac(known)}"]
    for number in range(len(body.drives_mib)):
        argv += ["-drive", f"if=none,id=drive{number},format=raw,file={folder}/drive{number},{_CACHE}"]
        argv += ["-device", f"nvme,drive=drive{number},serial={known.name}-{number}"]
    return argv


def _mac(known: Machine) -> str:
    """An address that no other machine has: locally administered, from the machine's own number."""
    return ":".join(f"{byte:02x}" for byte in b"\x02" + uuid.UUID(known.instance).bytes[:5])
