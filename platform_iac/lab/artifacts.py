"""The artifact mirror: every package that hosts without a route out install from.

A mirror is a folder that any web server can serve:

- `debian/`: a flat signed repository, `deb [signed-by=…] http://HOST/debian ./`, with the packages
  asked for and all that they need beyond the image; the key is `debian/platform-iac.gpg.asc`;
- `pypi/simple/`: an index (PEP 503) of wheels for the image's Python, with metadata beside each
  wheel (PEP 658) so that resolving downloads no wheel.

Mirrors are kept by what was asked for. Downloads go to pools that all mirrors share by hard links.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import time
from collections.abc import Callable, Iterable
from pathlib import Path

from platform_iac.lab import debian, paths, wheels
from platform_iac.lab.image import Report
from platform_iac.lab.paths import LabError

# Installs wheels many times faster than pip; every mirror has it.
ALWAYS = ("uv",)


def digest(packages: Iterable[str], requirements: Iterable[str], image: Path) -> str:
    """Return what a mirror's content depends on, as 16 hexadecimal characters."""
    asked = [1, sorted(set(packages)), sorted({*requirements, *ALWAYS}), image.name]
    return hashlib.sha256(json.dumps(asked).encode()).hexdigest()[:16]


def ensure(packages: Iterable[str], requirements: Iterable[str], image: Path, report: Report) -> Path:
    """Return a mirror with these Debian packages and pip requirements, making it if need be.

    Safe to call from several processes; a kill leaves nothing half made.

    Raises:
        LabError: something asked for does not exist, or cannot be downloaded.
    """
    packages, requirements = sorted(set(packages)), sorted({*requirements, *ALWAYS})
    for asked in (*packages, *requirements):
        if not asked or asked.startswith("-") or any(character.isspace() for character in asked):
            raise LabError(f"{asked!r} is not the name of a package")
    mirrors = paths.cache() / "mirrors"
    mirror = mirrors / digest(packages, requirements, image)
    if mirror.exists():
        return mirror
    with paths.locked(mirrors / ".lock"):
        if not mirror.exists():
            for leftover in mirrors.glob(".build-*"):
                shutil.rmtree(leftover)
            _build(mirror, packages, requirements, image, report)
    return mirror


def _build(mirror: Path, packages: list[str], requirements: list[str], image: Path, report: Report) -> None:
    started = time.monotonic()
    build = mirror.with_name(f".build-{mirror.name}")
    build.mkdir()
    report(f"mirror: {len(packages)} Debian packages and what they need")
    link(debian.download(packages, image, report), build / "debian", rename=debian.pool_name)
    debian.index(build / "debian")
    report(f"mirror: {len(requirements)} Python requirements and what they need")
    link(wheels.download(requirements, report), build / "pypi" / "wheels")
    wheels.index(build / "pypi")
    build.chmod(0o755)
    build.rename(mirror)
    size = sum(file.stat().st_size for file in mirror.rglob("*") if file.is_file()) / 2**20
    report(f"mirror: {size:.0f} MiB, ready after {time.monotonic() - started:.0f} s")


def link(files: Iterable[Path], folder: Path, *, rename: Callable[[str], str] = str) -> None:
    """Put files into a folder without copying them, where the file system allows that."""
    folder.mkdir(parents=True)
    for file in files:
        target = folder / rename(file.name)
        try:
            os.link(file, target)
        except OSError:
            shutil.copyfile(file, target)
        target.chmod(0o644)
