"""Commands on hosts, through OpenSSH: host keys verified, every wait bounded, arguments never read by a shell."""

from __future__ import annotations

import shlex
import subprocess
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

AS_ROOT: Final = 'test "$(id -u)" = 0 && exec "$@"; exec sudo -n -- "$@"'
"""What a shell on the host makes of the words behind it, whoever logs in: administrators often may not as root."""

TIMED_OUT = 124
"""Exit status of a command that ran past its time, as coreutils' `timeout` has it."""

UNREACHABLE = 255
"""Exit status of OpenSSH itself."""


@dataclass(frozen=True, slots=True)
class Done:
    """How a command ended: its exit status, standard output and standard error."""

    rc: int
    out: str
    err: str

    @property
    def said(self) -> str:
        """The last words, for people: standard error, or else standard output."""
        return (self.err.strip() or self.out.strip())[-2000:]


@dataclass(frozen=True, slots=True)
class Remote:
    """The way to the hosts: an OpenSSH client configuration that names them; `others` has those of other sites by host.

    The configuration decides about user, keys, host keys and jump hosts; who is not root needs sudo without a password.
    """

    ssh_config: str
    others: Mapping[str, str] = field(default_factory=dict)

    def __call__(
        self, host: str, argv: Sequence[str], *, user: str = "root", stdin: str = "", timeout_seconds: float = 60
    ) -> Done:
        """Run `argv` on `host` and return how it ended; running past the time is TIMED_OUT.

        Another user than root gets the environment of a login, as after `ssh user@host`.
        """
        config = self.others.get(host, self.ssh_config)
        command = ["ssh", "-F", config, "-o", "BatchMode=yes", "-o", "ConnectTimeout=20", host, "--"]
        try:
            done = subprocess.run(
                [*command, shlex.join(["sh", "-c", AS_ROOT, "sh", *words(argv, user)])],
                input=stdin,
                capture_output=True,
                text=True,
                errors="replace",
                timeout=timeout_seconds,
                check=False,
            )
        except subprocess.TimeoutExpired as error:
            return Done(TIMED_OUT, _text(error.stdout), f"{argv[0]} on {host} ran past {timeout_seconds:g} s")
        return Done(done.returncode, done.stdout, done.stderr)


def words(argv: Sequence[str], user: str) -> list[str]:
    """Return what root executes so that `user` executes `argv`."""
    return list(argv) if user == "root" else ["runuser", "-l", user, "-c", f"exec {shlex.join(argv)}"]


def _text(found: bytes | str | None) -> str:
    return found.decode(errors="replace") if isinstance(found, bytes) else found or ""
