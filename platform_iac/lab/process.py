"""Commands: those that are waited for, and those that outlive whoever started them."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Sequence
from pathlib import Path

from platform_iac.lab.paths import LabError

# Joins every cgroup named before the "--" and becomes the command after it, which is in its cgroups
# before it can start another process.
_JOIN = 'while [ "$1" != -- ]; do echo $$ >"$1" || exit 70; shift; done; shift; exec "$@"'

# Runs the command again in the same cgroups as long as it ends with the status that asks for it.
_KEEP = 'again=$1; shift; while :; do ("$@"); status=$?; [ $status -eq "$again" ] || exit $status; done'


def run(
    argv: Sequence[str | Path],
    *,
    timeout_seconds: float = 60,
    stdin: str | None = None,
    folder: Path | None = None,
) -> str:
    """Run a command to its end and return its standard output.

    Raises:
        LabError: it is not there, fails, or takes too long; carries the end of what it said.
    """
    try:
        done = subprocess.run(
            argv,
            check=False,
            input=stdin if stdin is not None else "",
            capture_output=True,
            text=True,
            timeout=timeout_seconds,
            cwd=folder,
        )
    except FileNotFoundError as error:
        raise LabError(f"{argv[0]} is not installed — run `platform-iac doctor`") from error
    except subprocess.TimeoutExpired as error:
        raise LabError(f"{argv[0]} took more than {timeout_seconds:g} s") from error
    if done.returncode != 0:
        said = (done.stderr or done.stdout).strip()[-2000:]
        raise LabError(f"{' '.join(map(str, argv[:4]))} … failed ({done.returncode}): {said}")
    return done.stdout


def detach(argv: Sequence[str | Path], *, cgroups: Sequence[Path], log: Path) -> None:
    """Start a command in these cgroups that outlives its caller; its output goes to the log.

    Raises:
        LabError: a cgroup cannot be joined.
    """
    with os.fdopen(os.open(log, os.O_CREAT | os.O_WRONLY | os.O_APPEND | os.O_CLOEXEC, 0o600), "wb") as output:
        done = subprocess.run(
            joining(cgroups, ["setsid", "--fork", *argv]),
            check=False,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            cwd="/",
            timeout=30,
        )
    if done.returncode != 0:
        raise LabError(f"{argv[0]} could not be started ({done.returncode}) — see {log}")


def joining(cgroups: Sequence[Path], argv: Sequence[str | Path]) -> list[str | Path]:
    """The command, in these cgroups (files to write its process id to) from its first moment on."""
    return ["sh", "-c", _JOIN, "sh", *cgroups, "--", *argv]


def kept(argv: Sequence[str | Path], *, again: int) -> list[str | Path]:
    """The command, run again whenever it ends with the status `again`."""
    return ["sh", "-c", _KEEP, "sh", str(again), *argv]
