"""Is this machine fit to run the twin? Says what is wrong and what to do, and changes nothing.

Standard library only, and no newer than Python 3.9: `tools/setup` runs this file by itself, with whatever `python3`
the machine has, before it installs anything. `read` looks at the machine, `examine` judges what was seen.
"""

from __future__ import annotations

import ctypes
import os
import platform
import re
import shutil
import subprocess
import sys
import tempfile
from dataclasses import dataclass, field
from pathlib import Path

PYTHON = (3, 11)
ARCHITECTURE = "x86_64"
# Measured on Debian 12: the build of the tools takes 3 GiB; image, packages and .venv 1.5; seven machines 3.5.
DISK_GIB = 10
DISK_WARM_GIB = 5
# The 11 machines of the stack lab were once seen to take about 10 at their peak, so this is the least worth a try, and
# no more than that: everything was run with 24, which the README asks for, as the tests have two twins at once.
MEMORY_GIB = 12
INOTIFY_INSTANCES = 64  # each machine's systemd and udev take some; the kernel's default is 128
GO = (1, 21)  # from here on, go fetches the toolchain that tools/pulumi/go.mod asks for

COMMANDS = {
    "debootstrap": "debootstrap",
    "systemd-nspawn": "systemd-container",
    "dnsmasq": "dnsmasq-base",
    "socat": "socat",
    "apt-ftparchive": "apt-utils",
    "gpg": "gnupg",
    "ssh": "openssh-client",
    "ip": "iproute2",
    "nsenter": "util-linux",
    "curl": "curl",
}
# Only machines with a kernel of their own need them: a spec with `guests`, and the tests.
GUEST_COMMANDS = {"qemu-system-x86_64": "qemu-system-x86", "qemu-img": "qemu-utils"}

# Prints the version of Pulumi that has to be built; nothing where one is there. tools/setup decides by the same lines.
_TO_BUILD = """
top=$1
. "$top/tools/tools.sh"
own_pulumi || [ -x "$(built_tools)/pulumi" ] || echo "$pulumi_version"
"""

# <linux/sched.h>: mount, cgroup, UTS, IPC, PID and network namespaces, which systemd-nspawn makes for each machine.
NAMESPACES = {
    "mount": 0x00020000,
    "cgroup": 0x02000000,
    "uts": 0x04000000,
    "ipc": 0x08000000,
    "pid": 0x20000000,
    "net": 0x40000000,
}
_MS_REC_PRIVATE = 0x4000 | 0x40000


@dataclass(frozen=True)
class Finding:
    """Something that keeps the twin from running (or, as a warning, may do so), and the remedy."""

    what: str
    remedy: str
    warning: bool = False

    def __str__(self) -> str:
        """One line for the terminal."""
        return f"{'warning' if self.warning else 'not fit'}: {self.what} — {self.remedy}"


@dataclass(frozen=True)
class Disk:
    """The room where a folder of ours is or will be, and the variable that moves it elsewhere."""

    path: Path
    variable: str
    free_gib: float


@dataclass(frozen=True)
class Machine:
    """What was seen of the machine.

    `refusals` are kernel features that were tried, with the error each gave; `to_build` is the version of Pulumi that
    has to be built here, empty where none has; `go` is the version of Go on PATH, (0, 0) without one.
    """

    system: str
    architecture: str
    distribution: str
    python: tuple[int, int]
    root: bool
    disk: tuple[Disk, ...]
    cached: bool
    memory_gib: float
    refusals: dict[str, str]
    cgroup_version: int
    cgroup_writable: bool
    inotify_instances: int
    missing: dict[str, str]
    missing_for_guests: dict[str, str] = field(default_factory=dict)
    to_build: str = ""
    go: tuple[int, int] = (0, 0)


def read() -> Machine:
    """Look at this machine. What is tried (a namespace, an overlay, a device node) is tried in a child and undone."""
    cache = _home("XDG_CACHE_HOME", ".cache")
    state = _home("XDG_STATE_HOME", ".local/state")
    root = os.geteuid() == 0
    linux = platform.system() == "Linux"
    version, writable = _cgroups(Path("/proc/self/mounts").read_text(encoding="utf-8")) if linux else (0, False)
    return Machine(
        system=platform.system(),
        architecture=platform.machine(),
        distribution=_distribution(Path("/etc/os-release")),
        python=sys.version_info[:2],
        root=root,
        disk=(_disk(cache, "XDG_CACHE_HOME"), _disk(state, "XDG_STATE_HOME")),
        cached=(cache / "tools").is_dir(),
        memory_gib=os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") / 2**30,
        refusals=_try_kernel(_existing(state)) if root and linux else {},
        cgroup_version=version,
        cgroup_writable=writable,
        inotify_instances=_number(Path("/proc/sys/fs/inotify/max_user_instances")),
        missing=_absent(COMMANDS),
        missing_for_guests=_absent(GUEST_COMMANDS),
        to_build=_to_build(Path(__file__).resolve().parents[1]) if linux else "",
        go=_go(),
    )


def examine(machine: Machine, *, before_setup: bool = False) -> list[Finding]:
    """Return what is wrong with a machine, most basic first.

    Before the set-up, commands that it will install are not missed.
    """
    found: list[Finding] = []
    if machine.system != "Linux":
        return [Finding(f"this is {machine.system}, not Linux", "use Debian 12, in a virtual machine if need be")]
    if machine.architecture != ARCHITECTURE:
        found.append(
            Finding(f"the architecture is {machine.architecture}", f"use {ARCHITECTURE}: the twin's packages are amd64")
        )
    if machine.distribution not in ("debian 12", "debian 13"):
        remedy = "use Debian 12: the set-up installs Debian's packages with apt"
        found.append(Finding(f"this is {machine.distribution or 'an unknown distribution'}", remedy, warning=True))
    if machine.python < PYTHON:
        have = ".".join(map(str, machine.python))
        found.append(Finding(f"python3 is {have}", "put Python 3.11 or newer first on PATH as python3"))
    if not machine.root:
        found.append(Finding("you are not root", "run this as root: machines need mounts and network namespaces"))
    found += _room(machine)
    found += [
        Finding(f"the kernel refuses {what}: {why}", _OVERLAY_REMEDY if "overlay" in what else _KERNEL_REMEDY)
        for what, why in machine.refusals.items()
    ]
    found += _cgroup_findings(machine)
    if machine.inotify_instances < INOTIFY_INSTANCES:
        found.append(
            Finding(
                f"fs.inotify.max_user_instances is {machine.inotify_instances}, too few for systemd in every machine",
                "sysctl fs.inotify.max_user_instances=512",
            )
        )
    if machine.to_build and machine.go < GO:
        found.append(
            Finding(
                f"the Pulumi CLI has to be built, and there is no Go {'.'.join(map(str, GO))} or newer on PATH",
                f"install Go, or Pulumi {machine.to_build} or newer with its Python language host",
            )
        )
    if machine.missing and not before_setup:
        packages = " ".join(sorted(set(machine.missing.values())))
        remedy = f"run tools/setup, or: apt-get install {packages}"
        found.append(Finding(f"not installed: {', '.join(machine.missing)}", remedy))
    if machine.missing_for_guests and not before_setup:
        what = (
            f"not installed: {', '.join(machine.missing_for_guests)}, which only specs with `guests` and the tests need"
        )
        packages = " ".join(machine.missing_for_guests.values())
        found.append(Finding(what, f"apt-get install {packages}", warning=True))
    return found


_KERNEL_REMEDY = "run on hardware or in a virtual machine: an unprivileged container cannot boot machines of its own"

_OVERLAY_REMEDY = "point XDG_STATE_HOME to a folder on ext4 or xfs: an overlay cannot lie on another overlay, or on NFS"


def _room(machine: Machine) -> list[Finding]:
    need = DISK_WARM_GIB if machine.cached else DISK_GIB
    found = [
        Finding(
            f"{disk.free_gib:.1f} GiB free for {disk.path}",
            f"free at least {need} GiB, or point {disk.variable} to a larger disk",
        )
        for disk in machine.disk
        if disk.free_gib < need
    ]
    if machine.memory_gib < MEMORY_GIB:
        found.append(Finding(f"{machine.memory_gib:.1f} GiB of memory", f"use a machine with {MEMORY_GIB} GiB or more"))
    return found


def _cgroup_findings(machine: Machine) -> list[Finding]:
    if machine.cgroup_version == 0:
        return [Finding("no cgroup hierarchy is mounted at /sys/fs/cgroup", "boot with systemd, or mount one there")]
    if machine.root and not machine.cgroup_writable:
        return [Finding("/sys/fs/cgroup is read-only", _KERNEL_REMEDY)]
    if machine.cgroup_version == 2:
        return [Finding("cgroup version 2: the twin was only run on version 1", "tell us how it went", warning=True)]
    return []


def _absent(commands: dict[str, str]) -> dict[str, str]:
    """The commands that are not on PATH, with the packages that have them."""
    return {command: package for command, package in commands.items() if shutil.which(command) is None}


def _to_build(top: Path) -> str:
    """The version of Pulumi that the set-up of this checkout would build; empty where it builds none."""
    if not (top / "tools" / "tools.sh").is_file():
        return ""  # a wheel's: nothing is set up from it
    return _said("bash", "-c", _TO_BUILD, "bash", str(top))


def _go() -> tuple[int, int]:
    """The version of the Go on PATH, without the newer toolchain that it may fetch; (0, 0) without one."""
    # Without a folder for its settings, go leaves no counters there: nothing is to be changed here.
    said = _said("go", "env", "GOVERSION", GOTOOLCHAIN="local", XDG_CONFIG_HOME=os.devnull)
    version = re.match(r"go(\d+)\.(\d+)", said)
    return (int(version[1]), int(version[2])) if version else (0, 0)


def _said(*argv: str, **env: str) -> str:
    """What a command prints; nothing where it is not there or fails."""
    try:
        done = subprocess.run(argv, env={**os.environ, **env}, capture_output=True, text=True, timeout=60, check=True)
    except (OSError, subprocess.SubprocessError):
        return ""
    return done.stdout.strip()


def _home(variable: str, fallback: str) -> Path:
    """The same folders as `platform_iac.lab.paths`, which this file cannot import."""
    return Path(os.environ.get(variable) or Path.home() / fallback) / "platform-iac"


def _disk(path: Path, variable: str) -> Disk:
    return Disk(path=path, variable=variable, free_gib=shutil.disk_usage(_existing(path)).free / 2**30)


def _existing(path: Path) -> Path:
    return next(parent for parent in (path, *path.parents) if parent.is_dir())


def _number(path: Path) -> int:
    try:
        return int(path.read_text(encoding="ascii"))
    except FileNotFoundError:
        return 0


def _distribution(path: Path) -> str:
    """`ID VERSION_ID` of an os-release file, such as `debian 12`; empty where there is none."""
    if not path.is_file():
        return ""
    pairs = (line.split("=", 1) for line in path.read_text(encoding="utf-8").splitlines() if "=" in line)
    fields = {key: value.strip("\"'") for key, value in pairs}
    return f"{fields.get('ID', '')} {fields.get('VERSION_ID', '')}".strip()


def _cgroups(mounts: str) -> tuple[int, bool]:
    """The version of the mounted cgroups (0: none) and whether all of them are writable, from /proc/mounts."""
    rows = [line.split() for line in mounts.splitlines()]
    mine = [row for row in rows if row[2] in ("cgroup", "cgroup2")]
    if not mine:
        return 0, False
    version = 1 if any(row[2] == "cgroup" for row in mine) else 2
    return version, all("rw" in row[3].split(",") for row in mine)


def _try_kernel(folder: Path) -> dict[str, str]:
    """Try what the machines need from the kernel, in a child whose mounts end with it."""
    reader, writer = os.pipe()
    with tempfile.TemporaryDirectory(prefix=".platform-iac-doctor-", dir=folder) as scratch:
        child = os.fork()
        if child == 0:
            refused = _refusals(Path(scratch))
            os.write(writer, "\n".join(f"{what}\t{why}" for what, why in refused.items()).encode())
            os._exit(0)  # no clean-up of the parent's: this is its copy
        os.close(writer)
        with os.fdopen(reader, encoding="utf-8") as answer:
            lines = answer.read().splitlines()
        os.waitpid(child, 0)
    return {what: why for what, _, why in (line.partition("\t") for line in lines)}


def _refusals(scratch: Path) -> dict[str, str]:
    libc = ctypes.CDLL(None, use_errno=True)
    refused = {}

    def attempt(what: str, status: int) -> bool:
        if status != 0:
            refused[what] = os.strerror(ctypes.get_errno())
        return status == 0

    for name, flag in NAMESPACES.items():
        attempt(f"a {name} namespace", libc.unshare(flag))
    lower, upper, work, root = (scratch / name for name in ("lower", "upper", "work", "root"))
    for path in (lower, upper, work, root):
        path.mkdir()
    if "a mount namespace" not in refused and attempt(
        "private mounts", libc.mount(None, b"/", None, _MS_REC_PRIVATE, None)
    ):
        layers = f"lowerdir={lower},upperdir={upper},workdir={work},volatile".encode()
        if attempt(f"an overlay on {scratch.parent}", libc.mount(b"overlay", bytes(root), b"overlay", 0, layers)):
            attempt("unmounting", libc.umount2(bytes(root), 0))
    try:
        os.mknod(scratch / "nvidia0", 0o020600, os.makedev(195, 0))  # as the simulated GPUs are made
    except OSError as error:
        refused["device nodes"] = os.strerror(error.errno or 0)
    shutil.rmtree(work, ignore_errors=True)  # overlayfs leaves a folder in it that only root may enter
    return refused


def main(*, before_setup: bool = False) -> int:
    """Print what was found; 1 where something keeps the twin from running, else 0."""
    machine = read()
    found = examine(machine, before_setup=before_setup)
    for finding in found:
        print(finding, flush=True)
    if any(not finding.warning for finding in found):
        print("Nothing was changed.", flush=True)
        return 1
    free = min(disk.free_gib for disk in machine.disk)
    print(
        f"fit: {machine.distribution}, {os.cpu_count()} cores, {machine.memory_gib:.0f} GiB of memory,"
        f" {free:.0f} GiB of disk, cgroup version {machine.cgroup_version}",
        flush=True,
    )
    return 0


if __name__ == "__main__":
    sys.exit(main(before_setup=True))
