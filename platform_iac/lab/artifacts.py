"""The artifact mirror: every package that hosts without a route out install from.

A mirror is a folder that any web server can serve:

- `debian/`: a flat signed repository, `deb [signed-by=…] http://HOST/debian ./`, with the packages
  asked for and all that they need beyond the image; the key is `debian/platform-iac.gpg.asc`;
- `pypi/simple/`: an index (PEP 503) of wheels for the image's Python, with metadata beside each
  wheel (PEP 658) so that resolving downloads no wheel.

Mirrors are kept by what was asked for. Downloads go to pools that all mirrors share by hard links. One that was made
never changes, for machines may have its folder: asked anew, the repositories give another beside it, which counts from
then on.
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


def ensure(
    packages: Iterable[str], requirements: Iterable[str], image: Path, report: Report, *, refresh: bool = False
) -> Path:
    """Return the newest mirror with these Debian packages and pip requirements, making it if need be.

    With `refresh` the repositories are asked anew; where they have nothing else, the mirror stays the one it is. Safe
    to call from several processes; a kill leaves nothing half made.

    Raises:
        LabError: something asked for does not exist, or cannot be downloaded.
    """
    packages, requirements = sorted(set(packages)), sorted({*requirements, *ALWAYS})
    for asked in (*packages, *requirements):
        if not asked or asked.startswith("-") or any(character.isspace() for character in asked):
            raise LabError(f"{asked!r} is not the name of a package")
    mirrors = paths.cache() / "mirrors"
    first = mirrors / digest(packages, requirements, image)
    if not refresh and (known := _newest(first)):
        return known
    with paths.locked(mirrors / ".lock"):
        known = _newest(first)
        if known and not refresh:
            return known
        for leftover in mirrors.glob(".build-*"):
            shutil.rmtree(leftover)
        started = time.monotonic()
        build = first.with_name(f".build-{first.name}")
        _download(packages, requirements, image, report, build, fresh=refresh)
        if known:
            new = sorted(_content(build) - _content(known))
            report(f"mirror: {len(new)} packages are new{': ' if new else ''}{', '.join(new)}")
            if _content(build) == _content(known):
                shutil.rmtree(build)
                return known
        mirror = _finish(build, first.with_name(f"{first.name}-{_number(known) + 1}") if known else first)
    size = sum(file.stat().st_size for file in mirror.rglob("*") if file.is_file()) / 2**20
    report(f"mirror: {size:.0f} MiB, ready after {time.monotonic() - started:.0f} s")
    return mirror


def _newest(first: Path) -> Path | None:
    """Return the mirror that counts of those for the same packages, None where there is none yet."""
    later = [path for path in first.parent.glob(f"{first.name}-*") if _number(path)]
    found = [*([first] if first.exists() else []), *sorted(later, key=_number)]
    return found[-1] if found else None


def _number(mirror: Path) -> int:
    """How often the repositories had been asked anew when a mirror was made."""
    number = mirror.name.partition("-")[2]
    return int(number) if number.isdecimal() else 0


def _download(
    packages: list[str], requirements: list[str], image: Path, report: Report, build: Path, *, fresh: bool
) -> None:
    report(f"mirror: {len(packages)} Debian packages and what they need")
    link(debian.download(packages, image, report, fresh=fresh), build / "debian", rename=debian.pool_name)
    report(f"mirror: {len(requirements)} Python requirements and what they need")
    link(wheels.download(requirements, report, fresh=fresh), build / "pypi" / "wheels")


def _finish(build: Path, mirror: Path) -> Path:
    debian.index(build / "debian")
    wheels.index(build / "pypi")
    build.chmod(0o755)
    return build.rename(mirror)


def _content(mirror: Path) -> set[str]:
    """The packages of a mirror; their names have the versions."""
    return {file.name for pattern in ("debian/*.deb", "pypi/wheels/*.whl") for file in mirror.glob(pattern)}


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
