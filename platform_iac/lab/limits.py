"""A limit of the kernel that many machines need higher, and that is put back with the last lab.

systemd and its services hold about seven inotify instances per machine, all of root's, who may have
128 on Debian: enough for eighteen machines.
"""

from __future__ import annotations

from pathlib import Path

from platform_iac.lab import paths

INSTANCES = Path("/proc/sys/fs/inotify/max_user_instances")
ENOUGH = 4096  # some five hundred machines
_NAMESPACES = Path("/run/netns")
_RUN = Path("/run") / paths.PREFIX


def lift() -> None:
    """Raise the limit, and remember what it was."""
    with paths.locked(_RUN / "limits.lock"):
        before = INSTANCES.read_text(encoding="utf-8")
        if int(before) < ENOUGH:
            paths.write(_RUN / INSTANCES.name, before)
            INSTANCES.write_text(str(ENOUGH), encoding="utf-8")


def restore() -> None:
    """Put the limit back if no lab is left on this workstation, of whichever state folder."""
    with paths.locked(_RUN / "limits.lock"):
        remembered = _RUN / INSTANCES.name
        if remembered.exists() and not list(_NAMESPACES.glob(f"{paths.PREFIX}-*")):
            INSTANCES.write_text(remembered.read_text(encoding="utf-8"), encoding="utf-8")
            remembered.unlink()
