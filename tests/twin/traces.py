"""What a lab has on this computer: everything that must be gone after it is destroyed."""

from __future__ import annotations

from pathlib import Path

from platform_iac.lab import cgroups, paths
from tests.twin import processes


def of_lab(lab: str) -> list[str]:
    """Return mounts, namespace, cgroups, processes and links that name the lab, each as a line."""
    names = (paths.netns(lab), f"labs/{lab}/", f"--machine={lab}-")
    mounts = Path("/proc/mounts").read_text(encoding="utf-8").splitlines()
    found = [f"mount {line}" for line in mounts if any(name in line for name in names)]
    if (Path("/run/netns") / paths.netns(lab)).exists():
        found.append(f"network namespace {paths.netns(lab)}")
    found += [f"cgroup {path}" for path in cgroups.paths(lab) if path.exists()]
    for pid, argv in processes.everyone():
        text = argv.replace(b"\0", b" ").decode(errors="replace")
        if any(name in text for name in names):
            found.append(f"process {pid} {text[:200]}")
    return found


def of_state(state: Path) -> list[str]:
    """Return the files of labs and the processes that a state folder still has."""
    labs = state / "platform-iac" / "labs"
    found = [f"file {path}" for path in sorted(labs.rglob("*"))[:20]] if labs.exists() else []
    return found + [f"process {pid}" for pid in processes.find(f"XDG_STATE_HOME={state}")]
