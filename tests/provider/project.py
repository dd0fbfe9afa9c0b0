"""A Pulumi project of a test's own: one Key and Roles on this computer, driven through the real CLI."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

TOP = Path(__file__).resolve().parents[2]
SECONDS = 240
PROGRAM = """\
import json, os
from pathlib import Path
import pulumi
from platform_iac.components.resources import Key, Role
spec = json.loads((Path(__file__).parent / "spec.json").read_text())
key = Key("db", length=16)
for name, inputs in spec.items():
    Role(name, {**inputs, "secrets": pulumi.Output.secret({"db": key.value})})
"""


@dataclass
class Project:
    """One stack with a backend, a state folder and a passphrase of its own."""

    folder: Path

    def make(self) -> None:
        """Write the project and create its stack."""
        (self.folder / "Pulumi.yaml").write_text(
            json.dumps(
                {
                    "name": "fixture",
                    "runtime": {"name": "python", "options": {"toolchain": "pip", "virtualenv": sys.prefix}},
                    "plugins": {"providers": [{"name": "platform", "path": str(TOP / "platform_iac" / "provider")}]},
                }
            )
        )
        (self.folder / "__main__.py").write_text(PROGRAM)
        (self.folder / "backend").mkdir()
        self.run("stack", "init", "test", "--secrets-provider", "passphrase")

    def write(self, roles: dict[str, Any]) -> None:
        """Say what the program declares."""
        (self.folder / "spec.json").write_text(json.dumps(roles))

    @property
    def environment(self) -> dict[str, str]:
        """The environment of the CLI."""
        return {
            **{name: value for name, value in os.environ.items() if not name.startswith("PULUMI_")},
            "PULUMI_BACKEND_URL": f"file://{self.folder / 'backend'}",
            "PULUMI_CONFIG_PASSPHRASE": "only for this test",
            "PULUMI_SKIP_UPDATE_CHECK": "true",
            "PULUMI_HOME": str(self.folder / "home"),
            "PYTHONPATH": str(TOP),
        }

    def run(self, *argv: str, fails: bool = False) -> str:
        """Run the CLI and return what it says; it must succeed, or with `fails` must not."""
        done = subprocess.run(
            ["pulumi", *argv, "--non-interactive"],
            cwd=self.folder,
            env=self.environment,
            capture_output=True,
            text=True,
            timeout=SECONDS,
            check=False,
        )
        text = done.stdout + done.stderr
        assert (done.returncode != 0) == fails, text
        return text

    def up(self, *argv: str, fails: bool = False) -> str:
        """Apply without asking."""
        return self.run("up", "--yes", "--skip-preview", "--stack", "test", *argv, fails=fails)

    def preview(self, *argv: str) -> str:
        """Preview."""
        return self.run("preview", "--stack", "test", *argv)

    def start_up(self) -> subprocess.Popen[str]:
        """Begin to apply, in a process group that the test may kill."""
        return subprocess.Popen(
            ["pulumi", "up", "--yes", "--skip-preview", "--non-interactive", "--stack", "test"],
            cwd=self.folder,
            env=self.environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )

    def outputs(self, name: str) -> dict[str, Any]:
        """What the state records of one resource; secrets stay encrypted."""
        state = json.loads(self.run("stack", "export", "--stack", "test"))
        for resource in state["deployment"]["resources"]:
            if resource["urn"].endswith(f"::{name}"):
                return dict(resource["outputs"])
        raise KeyError(name)


def kill(pid: int) -> None:
    """Kill one process at once, as a power cut would; it may have followed its parent already."""
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, signal.SIGKILL)


def processes(*words: str) -> list[int]:
    """Return the processes in whose command line or environment all these words occur."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdecimal() and int(entry.name) != os.getpid():
            try:
                text = (entry / "cmdline").read_bytes() + (entry / "environ").read_bytes()
            except OSError:
                continue
            if all(word.encode() in text for word in words):
                found.append(int(entry.name))
    return found


def wait_for(condition: Any, seconds: float = 120) -> None:
    """Wait until `condition()` is true."""
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, f"waited {seconds:g} s in vain"
        time.sleep(0.1)
