"""A Pulumi stack of a test's own: backend, passphrase, state, and the command line around it as a person uses it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML

from platform_iac.plan.make import make
from platform_iac.plan.model import Plan
from platform_iac.spec.load import load
from tests.twin import processes

TOP = Path(__file__).resolve().parents[2]
CONFIGURED = frozenset({"config", "preview", "up", "refresh", "destroy"})
Drift = dict[str, dict[str, dict[str, str]]]


@dataclass(frozen=True, slots=True)
class Done:
    """How one command ended."""

    rc: int
    output: str

    def ok(self) -> Done:
        """Return itself; AssertionError with the command's last words where it failed."""
        assert self.rc == 0, self.output[-8000:]
        return self


@dataclass
class Stack:
    """One stack. Everything of it is below `home`; `name` is also the platform's."""

    name: str
    spec: Path
    home: Path
    lab: str
    """The name of the twin whose machines are the platform's hosts."""
    ssh_config: Path
    said: list[str] = field(default_factory=list)
    """What every command has said so far."""

    def __post_init__(self) -> None:
        for folder in ("backend", "tmp", "state"):
            (self.home / folder).mkdir(mode=0o700)
        (self.home / "passphrase").write_text("this stack lives as long as its test\n")
        (self.home / "Pulumi.yaml").write_text(json.dumps(_project()))
        self.run("stack", "init", "--secrets-provider", "passphrase", self.name).ok()
        self.run("config", "set", "platform-iac:spec", str(self.spec)).ok()

    @property
    def env(self) -> dict[str, str]:
        """The environment of the command line. The state's folder is in that of all its descendants."""
        return {
            **{name: value for name, value in os.environ.items() if not name.startswith("PULUMI_")},
            "PULUMI_BACKEND_URL": f"file://{self.home / 'backend'}",
            "PULUMI_CONFIG_PASSPHRASE_FILE": str(self.home / "passphrase"),
            "PULUMI_HOME": str(self.home / "pulumi"),
            "PULUMI_SKIP_UPDATE_CHECK": "true",
            "PYTHONPATH": str(TOP),
            "TMPDIR": str(self.home / "tmp"),
            "XDG_STATE_HOME": str(self.home / "state"),
        }

    @property
    def mark(self) -> str:
        """What the environment of every process of this stack has, and of no other."""
        return f"XDG_STATE_HOME={self.home / 'state'}"

    @property
    def plan(self) -> Plan:
        """The plan of the spec as it is now."""
        return make(load(self.spec))

    @property
    def hosts(self) -> tuple[str, ...]:
        """The names of the plan's hosts."""
        return tuple(host.name for host in self.plan.hosts)

    def run(self, *argv: str, timeout: int = 600) -> Done:
        """Run `pulumi argv` on this stack."""
        process = self.start(*argv)
        try:
            output, _ = process.communicate(timeout=timeout)
        except subprocess.TimeoutExpired:
            self.kill_all()
            output, _ = process.communicate()
            output += f"\n`pulumi {' '.join(argv)}` ran past {timeout} s"
        self.said.append(output)
        return Done(process.returncode, output)

    def start(self, *argv: str) -> subprocess.Popen[str]:
        """Start `pulumi argv` on this stack and return at once."""
        where = ["--stack", self.name] if argv[:2] != ("stack", "init") else []
        return subprocess.Popen(
            ["pulumi", *argv, *where, "--non-interactive", "--color", "never"],
            cwd=self.home,
            env=self.env,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )

    def up(self, *, timeout: int = 600) -> Done:
        """Apply without asking; it must succeed."""
        return self.run("up", "--yes", "--skip-preview", timeout=timeout).ok()

    def start_up(self) -> subprocess.Popen[str]:
        """Begin to apply."""
        return self.start("up", "--yes", "--skip-preview")

    def preview(self) -> list[dict[str, Any]]:
        """Return what a preview would do: its steps but for those that leave things as they are."""
        output = self.run("preview", "--json").output
        try:
            steps = json.loads(output[output.index("{\n") :])["steps"]
        except (ValueError, KeyError) as error:
            raise AssertionError(output[-8000:]) from error
        return [{**step, "name": _name(step)} for step in steps if step["op"] != "same"]

    def changes(self) -> dict[str, str]:
        """Return what a preview would do, by the resource's name; empty when nothing."""
        return {step["name"]: step["op"] for step in self.preview()}

    def nothing_to_do(self) -> None:
        """Assert that a preview shows no change, and show the change where it does."""
        done = self.run("preview", "--diff", "--expect-no-changes")
        assert done.rc == 0, done.output[-8000:]

    def resources(self, *argv: str) -> dict[str, dict[str, Any]]:
        """Return the resources that the state holds, by name; `--show-secrets` is an option."""
        with_secrets = "--show-secrets" in argv
        heard = len(self.said)
        state = json.loads(self.run("stack", "export", *argv).ok().output)
        if with_secrets:
            del self.said[heard:]  # that it shows them is its purpose
        return {_name(found): found for found in state["deployment"].get("resources", [])}

    def pending(self) -> list[dict[str, Any]]:
        """Return what a run had begun and not recorded when it was killed."""
        state = json.loads(self.run("stack", "export").ok().output)
        return list(state["deployment"].get("pending_operations") or [])

    def refresh(self) -> Drift:
        """Ask the hosts; return each thing that drifted with its sentence, by resource and host."""
        self.run("refresh", "--yes", "--skip-preview").ok()
        outputs = {name: found.get("outputs", {}) for name, found in self.resources().items()}
        return {name: found["drift"] for name, found in outputs.items() if found.get("drift")}

    def release(self) -> Done:
        """Do what `platform-iac up` does first: let go of the lock that a dead run left."""
        code = "import sys; from platform_iac.commands.pulumi import select; select(sys.argv[1])"
        done = subprocess.run(
            [sys.executable, "-c", code, self.name],
            cwd=self.home,
            env=self.env,
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
        self.said.append(done.stdout + done.stderr)
        return Done(done.returncode, done.stdout + done.stderr)

    def kill_all(self) -> None:
        """Kill what is still at work for this stack; the machines go on."""
        machines = processes.of_lab(self.lab)
        processes.kill([pid for pid in processes.find(self.mark) if pid not in machines])

    def ok(self, host: str, command: str, *, timeout: int = 120) -> str:
        """Run a shell command as root on a host, where it must succeed; return what it said."""
        argv = ["ssh", "-F", str(self.ssh_config), host, "--", command]
        done = subprocess.run(
            argv, capture_output=True, text=True, timeout=timeout, check=False, stdin=subprocess.DEVNULL
        )
        assert done.returncode == 0, f"{host}: {command}: {done.stdout[-2000:]}{done.stderr[-4000:]}"
        return done.stdout


def first_lines(drift: Drift) -> Drift:
    """Return what differs without the lines about how, when, and who was there."""
    return {
        name: {host: {thing: said.splitlines()[0] for thing, said in things.items()} for host, things in hosts.items()}
        for name, hosts in drift.items()
    }


def wait(condition: Any, seconds: float, what: str) -> None:
    """Wait until `condition()` is true; AssertionError with `what` when it is not in time."""
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, f"waited {seconds:g} s in vain for: {what}"
        time.sleep(0.1)


def _project() -> dict[str, Any]:
    """The project's own file with its paths absolute, so that a stack's configuration stays out of the checkout."""
    project = dict(YAML(typ="safe").load(TOP / "Pulumi.yaml"))
    for plugin in project["plugins"]["providers"]:
        plugin["path"] = str(TOP / plugin["path"])
    options = {**project["runtime"]["options"], "virtualenv": sys.prefix}
    return {
        **project,
        "main": str(TOP / project["main"]),
        "runtime": {**project["runtime"], "options": options},
        "stackConfigDir": ".",
    }


def _name(found: dict[str, Any]) -> str:
    return str(found["urn"]).rsplit("::", 1)[1]
