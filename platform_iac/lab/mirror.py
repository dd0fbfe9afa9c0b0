"""A lab's mirror: the folder that its mirror machine serves, filled from the cache.

The folder stays the same while its content changes, so that a machine which has it bound sees new
packages without a restart.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterable
from pathlib import Path

from platform_iac.lab import artifacts, image, paths
from platform_iac.lab.artifacts import link
from platform_iac.lab.image import Report


def publish(lab: str, packages: Iterable[str], requirements: Iterable[str], report: Report) -> tuple[Path, str]:
    """Return the lab's mirror folder, holding these packages and requirements, and its content's digest.

    Raises:
        LabError: something asked for does not exist, or cannot be downloaded.
    """
    content = artifacts.ensure(packages, requirements, image.ensure(report), report)
    folder = paths.lab(lab) / "mirror"
    with paths.locked(paths.private_dir(paths.lab(lab)) / "mirror.lock"):
        folder.mkdir(mode=0o755, exist_ok=True)
        if published(lab) != content.name:
            (folder / ".content").unlink(missing_ok=True)
            for part in sorted(path for path in content.iterdir() if path.is_dir()):
                _replace(part, folder / part.name)
            paths.write(folder / ".content", content.name)
    return folder, content.name


def published(lab: str) -> str | None:
    """Return the digest of what the lab's mirror holds, None where it is missing or half made."""
    try:
        return (paths.lab(lab) / "mirror" / ".content").read_text(encoding="utf-8")
    except FileNotFoundError:
        return None


def delete(lab: str) -> None:
    """Remove the folder; the cache keeps the packages."""
    shutil.rmtree(paths.lab(lab) / "mirror", ignore_errors=True)
    paths.forget(lab)


def _replace(part: Path, target: Path) -> None:
    """Put `part`, hard-linked, where `target` is; readers see the old tree or the new one."""
    new, old = target.with_name(f".{target.name}.new"), target.with_name(f".{target.name}.old")
    shutil.rmtree(new, ignore_errors=True)
    shutil.rmtree(old, ignore_errors=True)
    for folder in (part, *(path for path in sorted(part.rglob("*")) if path.is_dir())):
        link((path for path in sorted(folder.iterdir()) if path.is_file()), new / folder.relative_to(part))
    if target.exists():
        target.rename(old)
    new.rename(target)
    shutil.rmtree(old, ignore_errors=True)
