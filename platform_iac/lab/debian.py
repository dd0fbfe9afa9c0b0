"""Debian packages for hosts that have the image: their closure, and a signed flat repository."""

from __future__ import annotations

import gzip
import re
import time
from collections.abc import Sequence
from pathlib import Path

from platform_iac.lab import image as images
from platform_iac.lab import paths
from platform_iac.lab.image import Report
from platform_iac.lab.process import run

KEY_NAME = "platform-iac.gpg.asc"
_LISTS_STALE_SECONDS = 24 * 3600
_URI = re.compile(r"^'(?P<uri>[^']+)' (?P<file>\S+) \d+", re.MULTILINE)


def download(packages: Sequence[str], image: Path, report: Report, *, fresh: bool = False) -> list[Path]:
    """Return the packages and all that they need beyond what the image has, from the shared pool.

    What the repositories have is asked once a day, and with `fresh` again. Of several at once each waits for the other:
    a mirror and the guests' image may be made at the same time, and images may be shared by caches.

    apt runs with a state of its own and the image's package database, so neither this
    workstation's packages nor its lists play a part; only its repositories and proxies do.
    """
    with paths.locked(paths.cache() / "apt" / ".lock"):
        return _download(packages, image, report, fresh=fresh)


def _download(packages: Sequence[str], image: Path, report: Report, *, fresh: bool) -> list[Path]:
    pool = paths.cache() / "pool" / "debian"
    (pool / "partial").mkdir(parents=True, exist_ok=True)
    _refresh_lists(image, fresh=fresh)
    wanted = ["--reinstall", "install", *packages]  # also what the image has: a host may lose it
    empty = paths.cache() / "apt" / "none"
    (empty / "partial").mkdir(parents=True, exist_ok=True)
    listed = run([*_apt(image, empty), "--print-uris", *wanted], timeout_seconds=120)
    names = [match["file"] for match in _URI.finditer(listed)]
    missing = sum(not (pool / name).exists() for name in names)
    report(f"mirror: {len(names)} Debian packages in all, {missing} to download")
    run([*_apt(image, pool), "--download-only", *wanted], timeout_seconds=1200)
    return [pool / name for name in names]


def _refresh_lists(image: Path, *, fresh: bool) -> None:
    """Fetch the package lists when that is asked for, there are none, or old ones whose packages may be gone."""
    config = paths.cache() / "apt"
    (config / "lists/partial").mkdir(parents=True, exist_ok=True)
    text = "".join(f"{source.line()}\n" for source in images.sources())
    file, stamp = config / "sources.list", config / "updated"
    recent = stamp.exists() and time.time() - stamp.stat().st_mtime < _LISTS_STALE_SECONDS
    if fresh or not recent or not file.exists() or file.read_text(encoding="utf-8") != text:
        paths.write(file, text)
        run([*_apt(image, config), "update"], timeout_seconds=300)
        stamp.touch()


def _apt(image: Path, archives: Path) -> list[str]:
    config = paths.cache() / "apt"
    options = {
        "Dir::Etc::SourceList": config / "sources.list",
        "Dir::Etc::SourceParts": "/dev/null",
        "Dir::Etc::Preferences": "/dev/null",
        "Dir::Etc::PreferencesParts": "/dev/null",
        "Dir::State": config,
        "Dir::State::status": image / "var/lib/dpkg/status",
        "Dir::Cache": config,
        "Dir::Cache::archives": archives,
        "APT::Install-Recommends": "false",
        "APT::Sandbox::User": "root",
        "APT::Update::Post-Invoke-Success::": "",
        "Acquire::Languages": "none",
        "Acquire::Retries": "3",
        "DPkg::Lock::Timeout": "600",
    }
    return ["apt-get", "--yes", "--quiet", *(f"--option={name}={value}" for name, value in options.items())]


def pool_name(name: str) -> str:
    """The file name without the version's epoch, as in Debian's own pool: a URL needs no escapes."""
    return re.sub(r"_\d+%3a", "_", name)


def index(folder: Path) -> None:
    """Make a folder of packages a repository, signed with the cache's own key."""
    packages = run(["apt-ftparchive", "packages", "."], timeout_seconds=300, folder=folder)
    (folder / "Packages").write_text(packages, encoding="utf-8")
    (folder / "Packages.gz").write_bytes(gzip.compress(packages.encode(), mtime=0))
    settings = {"Origin": "platform-iac", "Label": "platform-iac", "Suite": images.SUITE, "Codename": images.SUITE}
    options = [f"--option=APT::FTPArchive::Release::{name}={value}" for name, value in settings.items()]
    (folder / "Release").write_text(run(["apt-ftparchive", *options, "release", "."], folder=folder), encoding="utf-8")
    (folder / KEY_NAME).write_text(public_key(), encoding="utf-8")
    _gpg("--yes", "--clearsign", "--output", folder / "InRelease", folder / "Release")


def public_key() -> str:
    """Return the armored public key that mirrors made here are signed with, making the pair once."""
    home = paths.cache() / "gnupg"
    with paths.locked(home.with_name(".gnupg.lock")):
        if not (home / "made").exists():
            paths.private_dir(home)
            _gpg("--passphrase", "", "--quick-generate-key", "platform-iac mirror", "ed25519", "sign", "never")
            (home / "made").touch()
        return _gpg("--armor", "--export")


def _gpg(*arguments: str | Path) -> str:
    """Run gpg in its own home; its agent, which it starts by itself, does not outlive the command."""
    home = paths.cache() / "gnupg"
    try:
        return run(["gpg", f"--homedir={home}", "--batch", "--quiet", "--pinentry-mode=loopback", *arguments])
    finally:
        run(["gpgconf", f"--homedir={home}", "--kill", "all"])
