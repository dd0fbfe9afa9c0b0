"""What this role's modules share: how the cluster is asked, and what tells an OSD from any other."""

from __future__ import annotations

import json
import subprocess
import uuid
from pathlib import Path
from typing import Any

LIB = Path("/var/lib/ceph")
LEAVING = "leaving"
"""File in the folder of an OSD that was taken out, for its host leaves; one that stays after all takes it in again."""

ANSWER_SECONDS = 120
"""Longest that a command may take; `ceph` waits for a quorum so long."""

_BLUESTORE = b"bluestore block device\n"
_LABEL_BYTES = 60


class ClusterError(RuntimeError):
    """Something is in the way; says what, and where somebody can help, what to do."""


def run(*argv: str, seconds: int = ANSWER_SECONDS, allowed: tuple[int, ...] = (0,)) -> str:
    """Run a command and return its standard output. No secret may be among its words.

    Raises:
        ClusterError: it ended otherwise than allowed, or took too long; with what it said.
    """
    try:
        done = subprocess.run(argv, capture_output=True, text=True, timeout=seconds, check=False, cwd="/")
    except (OSError, subprocess.TimeoutExpired) as error:
        raise ClusterError(str(error)) from error
    if done.returncode not in allowed:
        raise ClusterError(f"{' '.join(argv)}: {(done.stderr or done.stdout).strip()[-800:]}")
    return done.stdout


def ceph(*words: str, seconds: int = ANSWER_SECONDS) -> str:
    """Run one command of `ceph` and return its output.

    Raises:
        ClusterError: it failed, or no monitor answered.
    """
    return run("ceph", *words, seconds=seconds)


def ask(*words: str) -> Any:
    """Return an answer of `ceph` as values.

    Raises:
        ClusterError: there is none.
    """
    return json.loads(ceph(*words, "--format", "json"))


def identities(fsid: str, name: str, disks: dict[str, int]) -> dict[str, str]:
    """Return the identity of the OSD that is made on each of a host's disks, by path."""
    return {path: str(uuid.uuid5(uuid.UUID(fsid), f"{name}:{path}")) for path in sorted(disks)}


def label(path: str) -> str:
    """Return the identity of the OSD that a disk holds, empty where it holds none or is not there.

    Raises:
        OSError: it cannot be read.
    """
    if not Path(path).exists():
        return ""
    with Path(path).open("rb") as file:
        head = file.read(_LABEL_BYTES)
    if not head.startswith(_BLUESTORE):
        return ""
    return head.removeprefix(_BLUESTORE).partition(b"\n")[0].decode(errors="replace")
