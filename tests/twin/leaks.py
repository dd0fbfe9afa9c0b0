"""Where secrets must not be: command lines, clear files of the state, and files that others can read."""

from __future__ import annotations

import os
import stat
import subprocess
import threading
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from types import TracebackType

from platform_iac.lab import machine
from tests.twin import processes

SAMPLE_SECONDS = 0.2
CHUNK_BYTES = 1 << 22
PACKAGED = frozenset({"site-packages"})
"""Folders of a Python environment that hold what wheels brought: most of the gigabytes."""

VOLATILE = ("run", "tmp", "dev/shm")
"""Folders of a machine that are in memory, and so not in its layer on disk."""


class Argv:
    """Looks at all command lines of this computer, machines included, several times a second."""

    def __init__(self) -> None:
        self.seen: set[bytes] = set()
        self._done = threading.Event()
        self._thread = threading.Thread(target=self._look, daemon=True)

    def __enter__(self) -> Argv:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._done.set()
        self._thread.join(5)

    def _look(self) -> None:
        while not self._done.wait(SAMPLE_SECONDS):
            self.seen.update(argv for _, argv in processes.everyone())


def in_texts(secrets: Mapping[str, str], texts: Iterable[str]) -> set[str]:
    """Return the names of the secrets that occur in any of the texts."""
    every = list(texts)
    return {name for name, value in secrets.items() if any(value in text for text in every)}


def in_files(secrets: Mapping[str, str], files: Iterable[Path]) -> list[str]:
    """Return `secret: file` for every file in which a secret is in clear."""
    return [f"{name}: {path}" for path in files for name in sorted(_in_file(secrets, path))]


def files(top: Path, *, skip: frozenset[str] = frozenset(), readable_by_others: bool = False) -> Iterator[Path]:
    """Yield the regular files below a folder; with `readable_by_others` those that any account can open."""
    with os.scandir(top) as entries:
        for entry in entries:
            if entry.name in skip or entry.is_symlink():
                continue
            mode = entry.stat(follow_symlinks=False).st_mode
            if stat.S_ISDIR(mode) and not (readable_by_others and not mode & stat.S_IXOTH):
                yield from files(Path(entry.path), skip=skip, readable_by_others=readable_by_others)
            elif stat.S_ISREG(mode) and (mode & stat.S_IROTH or not readable_by_others):
                yield Path(entry.path)


def open_on(lab: str, host: str, layer: Path, secrets: Mapping[str, str]) -> list[str]:
    """Return `secret: file` for every file that any account of a machine can read, read from outside.

    `layer` has the files that the machine has beyond its image.
    """
    leader = machine.leader(lab, host)
    assert leader, f"{host} is off"
    root = Path(f"/proc/{leader}/root")
    tops = [*_own(layer), *(root / name for name in VOLATILE)]
    return [line for top in tops for line in in_files(secrets, files(top, skip=PACKAGED, readable_by_others=True))]


def _own(layer: Path) -> list[Path]:
    """The folders of a machine's layer but for `/usr`, of which only `/usr/local` is not the packages'."""
    folders = [path for path in layer.iterdir() if path.is_dir() and not path.is_symlink() and path.name != "usr"]
    return folders + [path for path in (layer / "usr" / "local",) if path.is_dir()]


def in_journal(lab: str, host: str, secrets: Mapping[str, str]) -> set[str]:
    """Return the names of the secrets that a machine's journal holds."""
    leader = machine.leader(lab, host)
    argv = ["journalctl", "--directory", f"/proc/{leader}/root/var/log/journal", "--no-pager", "--all", "--output=cat"]
    done = subprocess.run(argv, capture_output=True, text=True, errors="replace", timeout=120, check=True)
    return in_texts(secrets, [done.stdout])


def _in_file(secrets: Mapping[str, str], path: Path) -> set[str]:
    longest = max(map(len, secrets.values()))
    found: set[str] = set()
    before = b""
    try:
        with path.open("rb") as file:
            while chunk := file.read(CHUNK_BYTES):
                text = before + chunk
                found.update(name for name, value in secrets.items() if value.encode() in text)
                before = text[-longest:]
    except OSError:  # gone meanwhile
        return found
    return found
