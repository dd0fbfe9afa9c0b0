"""The cgroups of a lab: where each of its processes lives, and how all of them are found again.

A process cannot leave its cgroup by forking, and the names say whose it is, so nothing else has to
remember process ids: `processes` is true after any crash. The machine's cgroup namespace is rooted
in its own cgroup, in which Slurm or Kubernetes then make theirs.

Version 1 (one hierarchy per controller) and version 2 are told apart in `layout` and nowhere else.
Version 2 is written after its documentation and has not been run.
"""

from __future__ import annotations

import contextlib
import os
import signal
import time
from dataclasses import dataclass
from pathlib import Path

from platform_iac.lab.paths import PREFIX, LabError

_ROOT = Path("/sys/fs/cgroup")
# The processor time of a whole lab, and of all labs: as much as eight processes of the workstation get when it is busy.
# A cgroup counts as one process otherwise, however many machines are in it.
_SHARES = {"cpu.shares": 8 * 1024, "cpu.weight": 8 * 100}


@dataclass(frozen=True, slots=True)
class Layout:
    """The mounted hierarchies: several of version 1, or the single one of version 2."""

    version: int
    roots: tuple[Path, ...]


def layout(mounts: str) -> Layout:
    """Return the hierarchies that this text of /proc/mounts names.

    Raises:
        LabError: there is none.
    """
    rows = [line.split() for line in mounts.splitlines()]
    first = tuple(sorted(Path(row[1]) for row in rows if row[2] == "cgroup"))
    second = tuple(sorted(Path(row[1]) for row in rows if row[2] == "cgroup2"))
    if first:
        return Layout(version=1, roots=first + second)
    if _ROOT in second:
        return Layout(version=2, roots=(_ROOT,))
    raise LabError(f"no cgroup hierarchy is mounted at {_ROOT}")


def mounted() -> Layout:
    """The hierarchies of this workstation."""
    return layout(Path("/proc/mounts").read_text(encoding="utf-8"))


def paths(lab: str, name: str = "") -> list[Path]:
    """One folder per hierarchy: of a machine, or of the whole lab."""
    return [root / PREFIX / lab / name for root in mounted().roots]


def create(lab: str, name: str) -> list[Path]:
    """Make the cgroups and return the files that a process writes its id to, to join them."""
    found = mounted()
    for root in found.roots:
        folder = root
        for part in (PREFIX, lab, name):
            if found.version == 2:
                _enable_controllers(folder)
            folder = folder / part
            folder.mkdir(exist_ok=True)
            _fill_cpuset(folder)
            if folder != root / PREFIX / lab / name:
                _weigh(folder)
    return [path / "cgroup.procs" for path in paths(lab, name)]


def _enable_controllers(folder: Path) -> None:
    """Version 2: hand every controller that is there down to the children."""
    controllers = (folder / "cgroup.controllers").read_text(encoding="utf-8").split()
    (folder / "cgroup.subtree_control").write_text(" ".join(f"+{name}" for name in controllers), encoding="utf-8")


def _fill_cpuset(folder: Path) -> None:
    """Version 1: a new cpuset is empty, and no process may join an empty one."""
    for name in ("cpuset.cpus", "cpuset.mems"):
        file = folder / name
        if file.exists() and (folder.parent / name).exists() and not file.read_text(encoding="utf-8").strip():
            file.write_text((folder.parent / name).read_text(encoding="utf-8"), encoding="utf-8")


def _weigh(folder: Path) -> None:
    """Give a group of machines its share of the processor; the file's name depends on the version."""
    for name, share in _SHARES.items():
        if (folder / name).exists():
            (folder / name).write_text(str(share), encoding="utf-8")


def processes(lab: str, name: str = "") -> set[int]:
    """Return the ids of all processes in the cgroups and below them."""
    found: set[int] = set()
    for top in paths(lab, name):
        for folder, _, _ in os.walk(top):
            with contextlib.suppress(OSError):
                found.update(map(int, (Path(folder) / "cgroup.procs").read_text(encoding="utf-8").split()))
    found.discard(0)
    return found


def kill(lab: str, name: str = "", *, timeout_seconds: float = 15) -> None:
    """Kill all processes in the cgroups and wait until they are gone.

    Raises:
        LabError: some are still there after the time.
    """
    end = time.monotonic() + timeout_seconds
    while left := processes(lab, name):
        for pid in left:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        if time.monotonic() > end:
            raise LabError(f"processes {sorted(left)} of {lab} {name} survive SIGKILL")
        time.sleep(0.02)


def remove(lab: str, name: str = "") -> None:
    """Kill what is in the cgroups and remove them with all below; also the empty common parent."""
    kill(lab, name)
    for top in paths(lab, name):
        for folder, _, _ in os.walk(top, topdown=False):
            _rmdir(Path(folder))
    if not name:
        for root in mounted().roots:
            with contextlib.suppress(OSError):  # another lab is in it
                (root / PREFIX).rmdir()


def _rmdir(folder: Path, *, timeout_seconds: float = 5) -> None:
    """Remove one cgroup; the kernel holds it as busy for a moment after its last process."""
    end = time.monotonic() + timeout_seconds
    while True:
        try:
            folder.rmdir()
        except FileNotFoundError:
            return
        except OSError:
            if time.monotonic() > end:
                raise
            time.sleep(0.02)
        else:
            return
