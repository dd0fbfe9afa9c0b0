"""Where the demonstration plays: a scratch clone with a bare remote, three environments on twins, and two people.

Everything is below one folder, and nothing of the user's own stacks, keys or git settings is touched.
"""

from __future__ import annotations

import os
import shlex
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from platform_iac.promotion import release, signature

TOP: Final = Path(__file__).resolve().parents[1]
STACKS: Final = Path(__file__).parent / "stacks"
ENVIRONMENTS: Final = ("dev", "staging", "production")
PEOPLE: Final = ("alice", "carol")
"""The first promotes, the second approves."""

WITHIN_SECONDS: Final = 900
STOPS_WITHIN_SECONDS: Final = 60


class DemoError(RuntimeError):
    """A step did not do what it shows."""


@dataclass(frozen=True, slots=True)
class Said:
    """A command as a person types it, and how it ended. `text` is standard output and standard error together."""

    command: str
    rc: int
    text: str


@dataclass
class Scene:
    """`mark` begins the names of the stacks, so that two scenes do not meet. `show` hears what is to be read."""

    home: Path
    mark: str = "demo"
    show: Callable[[str], None] = lambda _: None
    said: list[Said] = field(default_factory=list)
    begun: list[str] = field(default_factory=list)
    """The stacks that may have machines."""

    @property
    def top(self) -> Path:
        """The clone that people work in."""
        return self.home / "checkout"

    def stack(self, environment: str) -> str:
        """Return the stack of an environment."""
        return f"{self.mark}-{environment}"

    @property
    def env(self) -> dict[str, str]:
        """A person's shell in the clone: its own backend, state and git settings, and the clone's own code."""
        venv = Path(sys.prefix)
        return {
            **{name: value for name, value in os.environ.items() if not name.startswith(("PULUMI_", "GIT_"))},
            "GIT_CONFIG_GLOBAL": os.devnull,
            "GIT_CONFIG_SYSTEM": os.devnull,
            "PATH": f"{venv / 'bin'}:{os.environ['PATH']}",
            "PULUMI_BACKEND_URL": f"file://{self.home / 'backend'}",
            "PULUMI_CONFIG_PASSPHRASE_FILE": str(self.home / "passphrase"),
            "PULUMI_HOME": str(self.home / "pulumi"),
            "PULUMI_SKIP_UPDATE_CHECK": "true",
            "PYTHONPATH": str(self.top),
            "TMPDIR": str(self.home / "tmp"),
            "XDG_STATE_HOME": str(self.home / "state"),
        }

    def prepare(self) -> None:
        """Make the clone with its remote, the keys of the people, and an empty backend."""
        for folder in ("backend", "tmp", "state"):
            (self.home / folder).mkdir(parents=True, mode=0o700)
        (self.home / "passphrase").write_text("this backend lives as long as the demonstration\n", encoding="utf-8")
        self.quietly("git", "init", "--quiet", "--bare", "--initial-branch=main", "remote.git", where=self.home)
        self.quietly("git", "clone", "--quiet", "remote.git", "checkout", where=self.home)
        self._copy()
        self._people()
        with (self.top / ".git" / "info" / "exclude").open("a", encoding="utf-8") as exclude:
            exclude.write("/.venv\n")
        for name, value in (("user.name", PEOPLE[0]), ("user.email", f"{PEOPLE[0]}@example.net")):
            self.quietly("git", "config", name, value)
        self.commit("The platform")
        self.quietly("git", "push", "--quiet", "origin", "main")

    def _copy(self) -> None:
        """Fill the clone with this checkout as it is, and with the demonstration's stacks instead of its own."""
        for part in (*release.DECIDES, ".gitignore", "README.md"):
            if (TOP / part).is_dir():
                shutil.copytree(TOP / part, self.top / part, ignore=shutil.ignore_patterns("__pycache__"))
            else:
                shutil.copy(TOP / part, self.top / part)
        (self.top / ".venv").symlink_to(sys.prefix)
        (self.top / "stacks").mkdir()
        for path in STACKS.glob("*.yaml"):
            text = path.read_text(encoding="utf-8").replace("demo-", f"{self.mark}-")
            name = path.name.replace("demo-", f"{self.mark}-")
            (self.top / "stacks" / name).write_text("".join(text.splitlines(keepends=True)[1:]), encoding="utf-8")

    def _people(self) -> None:
        lines = []
        for name in PEOPLE:
            key = self.home / name
            self.quietly("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", name, "-f", str(key), where=self.home)
            public = key.with_suffix(".pub").read_text(encoding="utf-8")
            lines.append(f'{name}@example.net namespaces="{signature.NAMESPACE}" {public}')
        (self.top / "evidence").mkdir()
        (self.top / "evidence" / "allowed_signers").write_text("".join(lines), encoding="utf-8")

    def run(self, *argv: str, expect: int = 0) -> Said:
        """Run a command in the clone as a person would, show it, and return how it ended.

        Raises:
            DemoError: it ended otherwise than with the status `expect`.
        """
        command = shlex.join(argv)
        self.show(f"$ {command}")
        process = subprocess.Popen(
            argv,
            cwd=self.top,
            env=self.env,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,  # a terminal's ^C reaches us alone, and we end the command in our own time
        )
        lines = []
        try:
            for line in process.stdout or ():
                lines.append(line)
                self.show(line.rstrip("\n"))
            process.wait(timeout=WITHIN_SECONDS)
        except BaseException:
            _end(process)
            raise
        said = Said(command, process.returncode, "".join(lines))
        self.said.append(said)
        if said.rc != expect:
            raise DemoError(f"`{command}` ended with {said.rc} instead of {expect}:\n{said.text[-4000:]}")
        return said

    def promote(self, environment: str, *options: str, by: str = PEOPLE[0], expect: int = 0) -> Said:
        """Promote to an environment."""
        stack = self.stack(environment)
        self.begun += [stack] if stack not in self.begun else []
        return self.run("platform-iac", "promote", "--to", stack, "--key", f"../{by}", *options, expect=expect)

    def approve(self, environment: str, *, by: str = PEOPLE[1]) -> Said:
        """Approve the clone's release for an environment."""
        return self.run("platform-iac", "approve", "--to", self.stack(environment), "--key", f"../{by}")

    def quietly(self, *argv: str, where: Path | None = None) -> str:
        """Run a command that only sets the scene, and return what it said."""
        done = subprocess.run(
            argv, cwd=where or self.top, env=self.env, capture_output=True, text=True, timeout=120, check=False
        )
        if done.returncode != 0:
            raise DemoError(f"`{shlex.join(argv)}`: {(done.stderr + done.stdout).strip()[-2000:]}")
        return done.stdout

    def commit(self, message: str) -> None:
        """Commit everything in the clone."""
        self.quietly("git", "add", "--all")
        self.quietly("git", "commit", "--quiet", "--message", message)

    def edit(self, path: str, old: str, new: str) -> None:
        """Replace a text in a file of the clone."""
        file = self.top / path
        text = file.read_text(encoding="utf-8")
        if old not in text:
            raise DemoError(f"{path} has no {old!r} any more")
        file.write_text(text.replace(old, new), encoding="utf-8")

    def remove(self) -> None:
        """Remove the machines of every environment that was begun, and then the folder.

        Raises:
            DemoError: some machine could not be removed; the folder stays, and the next demonstration begins with it.
        """
        if not (self.top / "stacks").is_dir():
            self.begun.clear()  # killed before it had one
        while self.begun:
            self.run("platform-iac", "down", self.begun[-1])
            self.begun.pop()
        shutil.rmtree(self.home)


def _end(process: subprocess.Popen[str]) -> None:
    """Interrupt a command with all that it started, as a terminal does, and kill what does not end in time."""
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGINT)
    with suppress(subprocess.TimeoutExpired):
        process.wait(timeout=STOPS_WITHIN_SECONDS)
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()
