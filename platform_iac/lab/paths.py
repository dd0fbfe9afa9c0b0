"""Where the twin keeps things, and the lock that guards each of them."""

from __future__ import annotations

import contextlib
import fcntl
import os
import re
import shutil
from collections.abc import Iterator
from pathlib import Path

PREFIX = "platform-iac"
LABEL = re.compile(r"[a-z0-9]([a-z0-9-]{0,30}[a-z0-9])?")


class LabError(RuntimeError):
    """Something about a lab cannot be done. Says what and, where there is a remedy, which."""


def check_label(name: str) -> str:
    """Return the name, which is safe as part of a path, a host name and a cgroup.

    Raises:
        LabError: it is not 1 to 32 lower-case letters, digits and inner hyphens.
    """
    if not LABEL.fullmatch(name):
        raise LabError(f"{name!r} is no name for a lab or a machine — use up to 32 of a-z, 0-9 and inner hyphens")
    return name


def _base(variable: str, fallback: str) -> Path:
    return Path(os.environ.get(variable) or Path.home() / fallback) / PREFIX


def cache() -> Path:
    """What can be made again: images, packages, mirrors."""
    return _base("XDG_CACHE_HOME", ".cache")


def labs() -> Path:
    """The folder of all labs."""
    return _base("XDG_STATE_HOME", ".local/state") / "labs"


def lab(name: str) -> Path:
    """The folder of one lab."""
    return labs() / check_label(name)


def machine(lab_name: str, name: str) -> Path:
    """The folder of one machine."""
    return lab(lab_name) / "machines" / check_label(name)


def lab_of(platform: str, site: str) -> str:
    """The name of the lab that is one site of a platform."""
    return platform if site == platform else f"{platform}-{site}"


def netns(lab_name: str) -> str:
    """The name of a lab's network namespace."""
    return f"{PREFIX}-{check_label(lab_name)}"


def private_dir(path: Path) -> Path:
    """Make a folder that only its owner can enter, with its parents, and return it."""
    path.mkdir(parents=True, exist_ok=True)
    path.chmod(0o700)
    return path


@contextlib.contextmanager
def locked(path: Path) -> Iterator[None]:
    """Hold the lock of this name. The kernel lets it go when the holder dies, however it dies."""
    while True:
        path.parent.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(path, os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            if not _is_still(path, descriptor):
                continue  # its last holder removed the file: whoever comes next locks another one
            yield
            return
        finally:
            os.close(descriptor)


def _is_still(path: Path, descriptor: int) -> bool:
    try:
        return path.stat().st_ino == os.fstat(descriptor).st_ino
    except FileNotFoundError:
        return False


def forget(lab_name: str) -> None:
    """Remove a lab's folder once nothing but locks is left in it.

    Nothing below a machine's own folder is looked at: there may be much, and someone may just be removing it.
    """
    folder = lab(lab_name)
    machines = folder / "machines"
    left: list[Path] = []
    for place in (folder, machines):
        with contextlib.suppress(FileNotFoundError):  # gone, or going: the mirror and the network forget at once
            left += [path for path in place.iterdir() if path != machines]
    if all(path.name.endswith("lock") for path in left):
        shutil.rmtree(folder, ignore_errors=True)


def write(path: Path, text: str, mode: int = 0o644) -> None:
    """Write a file so that a reader, or a kill, sees the old text or the new one, never half of it."""
    temporary = path.with_name(f".{path.name}.new")
    descriptor = os.open(temporary, os.O_CREAT | os.O_WRONLY | os.O_TRUNC | os.O_CLOEXEC, mode)
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        file.write(text)
        os.fchmod(file.fileno(), mode)
    temporary.rename(path)
