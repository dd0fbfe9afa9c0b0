"""The root file system that all machines share, read-only, as the lower layer of their own."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from platform_iac.lab import paths
from platform_iac.lab.paths import LabError
from platform_iac.lab.process import run

Report = Callable[[str], None]

SUITE = "bookworm"
_BUILD_SECONDS = 900
KEYRING = Path("/usr/share/keyrings/debian-archive-keyring.gpg")
PACKAGES = (
    "acl",  # lets Ansible become an ordinary user
    "ca-certificates",
    "dbus",
    "iproute2",
    "netbase",
    "openssh-server",
    "procps",
    "python3",
    "sudo",
    "systemd",
    "systemd-sysv",
)
# Work that a twin's machine need not do at boot; the timers would only reach for a network that is not there.
MASKED = (
    "apt-daily-upgrade.timer",
    "apt-daily.timer",
    "console-getty.service",
    "dpkg-db-backup.timer",
    "e2scrub_all.timer",
    "e2scrub_reap.service",
    "fstrim.timer",
    "getty.target",
    "systemd-networkd-wait-online.service",
    "systemd-timesyncd.service",
)
_DPKG = """\
force-unsafe-io
path-exclude=/usr/share/doc/*
path-exclude=/usr/share/info/*
path-exclude=/usr/share/locale/*
path-exclude=/usr/share/man/*
"""
# nspawn mounts version 1 hierarchies read-only; Slurm and Kubernetes need to make cgroups of their own.
_CGROUPS_UNIT = """\
[Unit]
Description=Make the machine's own cgroups writable
DefaultDependencies=no
Before=sysinit.target

[Service]
Type=oneshot
ExecStart=/bin/sh -c 'while read -r _ folder kind _; do case $kind in cgroup|cgroup2) \
mount -o remount,bind,rw "$folder" || exit 1;; esac; done </proc/mounts'

[Install]
WantedBy=sysinit.target
"""
FILES = {
    "etc/apt/apt.conf.d/10platform-iac": 'APT::Install-Recommends "false";\nAcquire::Languages "none";\n',
    "etc/default/locale": "LANG=C.UTF-8\n",
    "etc/systemd/journald.conf.d/platform-iac.conf": "[Journal]\nSystemMaxUse=64M\n",
    "etc/systemd/system/platform-iac-cgroups.service": _CGROUPS_UNIT,
}


@dataclass(frozen=True, slots=True)
class Source:
    """One Debian repository that this workstation is configured to use."""

    site: str
    release: str
    component: str

    def line(self) -> str:
        """The line for a sources.list."""
        return f"deb [signed-by={KEYRING}] {self.site} {self.release} {self.component}"


def digest() -> str:
    """Return what the image's content depends on, as 16 hexadecimal characters."""
    recipe = [SUITE, PACKAGES, MASKED, _DPKG, sorted(FILES.items()), os.uname().machine]
    return hashlib.sha256(json.dumps(recipe).encode()).hexdigest()[:16]


def sources() -> tuple[Source, ...]:
    """Return the workstation's own Debian repositories for the suite, the main one first.

    Raises:
        LabError: apt knows none.
    """
    text = run(["apt-get", "indextargets", "--format", "$(SITE) $(RELEASE) $(COMPONENT)", "Created-By: Packages"])
    rows = [Source(*line.split()) for line in text.splitlines() if len(line.split()) == 3]
    found = [row for row in rows if row.release in (SUITE, f"{SUITE}-updates", f"{SUITE}-security")]
    if not any(row.release == SUITE for row in found):
        raise LabError(f"apt knows no repository for Debian {SUITE} — add one to /etc/apt/sources.list.d")
    return tuple(dict.fromkeys(sorted(found, key=lambda row: row.release)))


def ensure(report: Report) -> Path:
    """Return the image's root, after building it if it is not in the cache (about 75 s).

    Raises:
        LabError: debootstrap fails; its log is kept beside the images.
    """
    images = paths.cache() / "images"
    root = images / digest()
    if root.exists():
        return root
    with paths.locked(images / ".lock"):
        if not root.exists():
            for leftover in images.glob(".build-*"):
                shutil.rmtree(leftover)
            _build(root, report)
    return root


def _build(root: Path, report: Report) -> None:
    started = time.monotonic()
    build = root.with_name(f".build-{root.name}")
    config = build / "etc/dpkg/dpkg.cfg.d"
    config.mkdir(parents=True)
    (config / "platform-iac").write_text(_DPKG, encoding="utf-8")
    main = sources()[0]
    report(f"image: building Debian {SUITE} with {len(PACKAGES)} chosen packages")
    _debootstrap(build, main, root.with_name("build.log"), report)
    _adapt(build)
    build.chmod(0o755)
    build.rename(root)
    report(f"image: ready after {time.monotonic() - started:.0f} s")


def _debootstrap(build: Path, main: Source, log: Path, report: Report) -> None:
    """Run debootstrap so that a kill of its caller ends it too, and its mounts with it."""
    alone = ["setpriv", "--pdeathsig", "KILL", "unshare", "--mount", "--pid", "--fork", "--kill-child"]
    options = ["--variant=minbase", f"--keyring={KEYRING}", f"--include={','.join(PACKAGES)}"]
    argv = [*alone, "debootstrap", *options, SUITE, str(build), main.site]
    last = time.monotonic()
    with (
        log.open("w", encoding="utf-8") as kept,
        subprocess.Popen(argv, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as process,
    ):
        watchdog = threading.Timer(_BUILD_SECONDS, process.kill)
        watchdog.start()
        for line in process.stdout or ():
            kept.write(line)
            if time.monotonic() - last > 5:
                last = time.monotonic()
                report(f"image: {line.strip().removeprefix('I: ')}")
        watchdog.cancel()
    if process.returncode != 0:
        raise LabError(f"debootstrap failed ({process.returncode}) — see {log}")


def _adapt(build: Path) -> None:
    """Make the fresh system one that boots in seconds and has no identity of its own."""
    for path, text in FILES.items():
        file = build / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text, encoding="utf-8")
    for key in (build / "etc/ssh").glob("ssh_host_*"):
        key.unlink()
    for name in ("etc/hostname", "etc/resolv.conf", "etc/machine-id", "etc/apt/sources.list"):
        (build / name).unlink(missing_ok=True)
        (build / name).touch(mode=0o644)
    for archive in (build / "var/cache/apt/archives").glob("*.deb"):
        archive.unlink()
    run(["systemctl", f"--root={build}", "mask", *MASKED])
    run(["systemctl", f"--root={build}", "enable", "systemd-networkd.service", "platform-iac-cgroups.service"])
    run(["systemctl", f"--root={build}", "set-default", "multi-user.target"])
