"""Python wheels for the image's interpreter, and the index that pip and uv read."""

from __future__ import annotations

import hashlib
import html
import importlib.util
import os
import re
import shutil
import sys
import zipfile
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path

from platform_iac.lab import paths
from platform_iac.lab.image import Report
from platform_iac.lab.paths import LabError
from platform_iac.lab.process import run

# Debian bookworm's: Python 3.11 on glibc 2.36.
PYTHON = "3.11"
GLIBC_MINOR = 36
_GLIBC_OLDEST = 17


def platforms(machine: str) -> list[str]:
    """The platform tags that the image can run, the newest first."""
    return [f"manylinux_2_{minor}_{machine}" for minor in range(GLIBC_MINOR, _GLIBC_OLDEST - 1, -1)] + [
        f"manylinux2014_{machine}",
        f"linux_{machine}",
    ]


def download(requirements: Sequence[str], report: Report, *, fresh: bool = False) -> list[Path]:
    """Return wheels that satisfy the requirements together, from the shared pool.

    uv decides on the versions (seconds where pip takes minutes) and pip fetches them: uv cannot. With `fresh` it asks
    the index again instead of what it remembers.

    Raises:
        LabError: a requirement cannot be met by wheels alone.
    """
    pool = paths.cache() / "pool" / "wheels"
    pool.mkdir(parents=True, exist_ok=True)
    pins = _resolve(requirements, fresh=fresh)
    missing = [pin for pin in pins if not _matching(pool, pin)]
    report(f"mirror: {len(pins)} wheels in all, {len(missing)} to download")
    if missing:
        _fetch(missing, pool)
    return [file for pin in pins for file in _matching(pool, pin)]


def _resolve(requirements: Sequence[str], *, fresh: bool) -> list[str]:
    """The exact versions, as `name==version`."""
    target = [f"--python-version={PYTHON}", f"--python-platform={os.uname().machine}-manylinux_2_{GLIBC_MINOR}"]
    style = ["--only-binary=:all:", "--no-header", "--no-annotate", "--no-strip-extras", "--quiet"]
    style += ["--refresh"] if fresh else []
    text = run([_uv(), "pip", "compile", *target, *style, "-"], stdin="\n".join(requirements), timeout_seconds=300)
    pins = [line.split(";")[0].split("\\")[0].strip() for line in text.splitlines()]
    return [re.sub(r"\[.*?\]", "", pin) for pin in pins if "==" in pin]


def _fetch(pins: Sequence[str], pool: Path) -> None:
    new = pool.with_name("wheels.new")
    shutil.rmtree(new, ignore_errors=True)
    target = ["--only-binary=:all:", "--no-deps", "--implementation=cp", f"--python-version={PYTHON}"]
    target += [f"--abi={abi}" for abi in (f"cp{PYTHON.replace('.', '')}", "abi3", "none")]
    target += [f"--platform={tag}" for tag in platforms(os.uname().machine)]
    quiet = ["--quiet", "--no-input", "--disable-pip-version-check"]
    run([*_pip(), "download", *quiet, *target, f"--dest={new}", *pins], timeout_seconds=1500)
    for file in new.glob("*.whl"):
        file.rename(pool / file.name)
    new.rmdir()


def _uv() -> str:
    """The `uv` beside this interpreter, else the one on PATH."""
    folder = str(Path(sys.executable).parent)
    found = shutil.which("uv", path=f"{folder}{os.pathsep}{os.environ.get('PATH', os.defpath)}")
    if not found:
        raise LabError("uv is not installed — run tools/setup")
    return found


def _pip() -> list[str]:
    """This interpreter's pip; a virtual environment made by uv has none, uv then runs one."""
    if importlib.util.find_spec("pip"):
        return [sys.executable, "-m", "pip"]
    return [_uv(), "tool", "run", "pip"]


def normal(name: str) -> str:
    """A project's name as indexes spell it (PEP 503)."""
    return re.sub(r"[-_.]+", "-", name).lower()


def _matching(pool: Path, pin: str) -> list[Path]:
    name, _, version = pin.partition("==")
    files = [file for file in pool.glob("*.whl") if normal(file.name.split("-")[0]) == normal(name)]
    return sorted(file for file in files if file.name.split("-")[1] == version)


def index(folder: Path) -> None:
    """Write `simple/` for the wheels in `<folder>/wheels`, and each wheel's metadata beside it."""
    projects: dict[str, list[str]] = defaultdict(list)
    for wheel in sorted((folder / "wheels").glob("*.whl")):
        metadata = _metadata(wheel)
        wheel.with_name(f"{wheel.name}.metadata").write_bytes(metadata)
        with wheel.open("rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
        project = normal(wheel.name.split("-")[0])
        projects[project].append(link(wheel.name, digest, hashlib.sha256(metadata).hexdigest()))
    for project, links in projects.items():
        _page(folder / "simple" / project, links)
    _page(folder / "simple", [f'<a href="{project}/">{project}</a>' for project in sorted(projects)])


def link(name: str, digest: str, metadata_digest: str) -> str:
    """One wheel's line in the index; `+` in a version must not be read as a space."""
    url = f"../../wheels/{name.replace('+', '%2B')}#sha256={digest}"
    metadata = f"sha256={metadata_digest}"
    attributes = f'data-core-metadata="{metadata}" data-dist-info-metadata="{metadata}"'
    return f'<a href="{url}" {attributes}>{html.escape(name)}</a>'


def _page(folder: Path, links: Sequence[str]) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    body = "<br>\n".join(links)
    page = f"<!DOCTYPE html>\n<html><body>\n{body}\n</body></html>\n"
    (folder / "index.html").write_text(page, encoding="utf-8")


def _metadata(wheel: Path) -> bytes:
    with zipfile.ZipFile(wheel) as archive:
        for name in archive.namelist():
            if re.fullmatch(r"[^/]+\.dist-info/METADATA", name):
                return archive.read(name)
    raise LabError(f"{wheel.name} is no wheel: it has no METADATA")
