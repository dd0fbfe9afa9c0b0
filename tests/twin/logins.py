"""Who logged in to a lab's machines: read from their journals on this computer, so that asking is no login."""

from __future__ import annotations

import json
import subprocess
import time
from pathlib import Path

from platform_iac.lab import machine


def now() -> float:
    """The moment to count from. Machines have this computer's clock."""
    return time.time()


def since(lab: str, hosts: tuple[str, ...], moment: float) -> dict[str, int]:
    """Return how often somebody was let in since the moment, by host; hosts that saw no one are left out."""
    found = {host: sum(at >= moment for at in _accepted(lab, host)) for host in hosts}
    return {host: count for host, count in found.items() if count}


def _accepted(lab: str, host: str) -> list[float]:
    """When sshd let someone in, in seconds since the epoch."""
    leader = machine.leader(lab, host)
    assert leader, f"{host} is off"
    journal = Path(f"/proc/{leader}/root/var/log/journal")
    argv = ["journalctl", "--directory", str(journal), "--no-pager", "--output", "json", "_COMM=sshd"]
    done = subprocess.run(argv, capture_output=True, text=True, timeout=60, check=False)
    entries = [json.loads(line) for line in done.stdout.splitlines() if line.startswith("{")]
    assert entries, f"the journal of {host} knows no login at all: {done.stderr}"
    return [
        int(entry["__REALTIME_TIMESTAMP"]) / 1e6
        for entry in entries
        if str(entry.get("MESSAGE", "")).startswith("Accepted ")
    ]
