"""The language host under the Pulumi CLI: programs, policy packs and plugins run, and nothing outlives the engine."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

pytestmark = [pytest.mark.engine, pytest.mark.timeout(120)]

TOP = Path(__file__).resolve().parents[2]
RUNTIME = f"runtime: {{name: python, options: {{toolchain: pip, virtualenv: {TOP}/.venv}}}}\n"
PROJECT = f"name: probe\n{RUNTIME}main: program\nstackConfigDir: stacks\n"

SLOW_PROVIDER = """
import os, sys, time
from pathlib import Path
from pulumi.provider.experimental.provider import CheckResponse, Provider
from pulumi.provider.experimental.server import main

class Slow(Provider):
    async def check(self, request):
        return CheckResponse(inputs=request.new_inputs)
    async def create(self, request):
        Path(os.environ["MARK"]).write_text(f"{os.getpid()} {os.getppid()}")
        time.sleep(60)

main(sys.argv[1:], "0.0.1", Slow())
"""
SLOW_PROGRAM = """
import pulumi

class Thing(pulumi.CustomResource):
    def __init__(self):
        super().__init__("slow:index:Thing", "thing", {})

Thing()
"""
POLICY = """
from pulumi_policy import EnforcementLevel, PolicyPack, StackValidationPolicy

def never(stack, report):
    report("this pack allows nothing")

PolicyPack(
    "strict",
    policies=[StackValidationPolicy("never", "never", never, enforcement_level=EnforcementLevel.MANDATORY)],
)
"""


@dataclass(frozen=True)
class Project:
    """A Pulumi project in a folder, with a state of its own."""

    folder: Path
    environment: dict[str, str]

    def pulumi(self, *argv: str) -> subprocess.CompletedProcess[str]:
        """Run the CLI and return what it printed, both streams as one."""
        return subprocess.run(
            ["pulumi", *argv, "--stack", "s", "--non-interactive"],
            cwd=self.folder,
            env=self.environment,
            check=False,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=60,
        )

    def up(self) -> str:
        done = self.pulumi("up", "--yes", "--skip-preview")
        assert done.returncode == 0, done.stdout
        return done.stdout


def project(folder: Path, program: str, state: Path, *, tail: str = "") -> Project:
    """Write a project whose state is in `state`, and make its stack."""
    (folder / "program").mkdir(parents=True)
    (folder / "stacks").mkdir()
    (folder / "Pulumi.yaml").write_text(PROJECT + tail)
    (folder / "program/__main__.py").write_text(program)
    state.mkdir(exist_ok=True)
    environment = {
        **os.environ,
        "PULUMI_BACKEND_URL": f"file://{state}",
        "PULUMI_CONFIG_PASSPHRASE": "probe",
        "PULUMI_SKIP_UPDATE_CHECK": "true",
    }
    made = Project(folder, environment)
    assert made.pulumi("stack", "select", "--create", "--secrets-provider", "passphrase").returncode == 0
    return made


def test_a_program_runs_with_its_configuration_and_then_changes_nothing(tmp_path: Path) -> None:
    program = "import pulumi\npulumi.export('word', pulumi.Config().require('word'))\nprint('said aloud')\n"
    probe = project(tmp_path / "p", program, tmp_path / "state")
    probe.pulumi("config", "set", "word", "hello")
    first = probe.up()
    assert "hello" in first
    assert "said aloud" in first
    again = probe.pulumi("preview", "--expect-no-changes")
    assert again.returncode == 0, again.stdout


def test_a_program_that_fails_shows_where_and_fails_the_update(tmp_path: Path) -> None:
    probe = project(tmp_path / "p", "import pulumi\nraise ValueError('the reason')\n", tmp_path / "state")
    done = probe.pulumi("preview")
    assert done.returncode != 0
    assert "the reason" in done.stdout
    assert "__main__.py" in done.stdout


def test_a_missing_virtual_environment_says_what_to_run(tmp_path: Path) -> None:
    probe = project(tmp_path / "p", "import pulumi\n", tmp_path / "state")
    settings = (probe.folder / "Pulumi.yaml").read_text().replace(f"{TOP}/.venv", "nowhere")
    (probe.folder / "Pulumi.yaml").write_text(settings)
    done = probe.pulumi("preview")
    assert done.returncode != 0
    assert "run tools/setup" in done.stdout


def test_a_policy_pack_runs_and_can_refuse(tmp_path: Path) -> None:
    probe = project(tmp_path / "p", "import pulumi\n", tmp_path / "state")
    pack = tmp_path / "pack"
    pack.mkdir()
    (pack / "PulumiPolicy.yaml").write_text(f"version: 0.0.1\n{RUNTIME}")
    (pack / "__main__.py").write_text(POLICY)
    done = probe.pulumi("preview", "--policy-pack", str(pack))
    assert done.returncode != 0
    assert "this pack allows nothing" in done.stdout


def test_a_second_checkout_with_the_same_passphrase_goes_on_with_the_state(tmp_path: Path) -> None:
    program = "import pulumi\npulumi.export('key', pulumi.Output.secret('canary'))\n"
    first = project(tmp_path / "first", program, tmp_path / "state")
    first.up()
    second = project(tmp_path / "second", program, tmp_path / "state")
    assert second.pulumi("preview", "--expect-no-changes").returncode == 0
    second.up()
    for checkout in (second, first):
        shown = checkout.pulumi("stack", "output", "--show-secrets", "key")
        assert "canary" in shown.stdout
    assert not any(b"canary" in path.read_bytes() for path in (tmp_path / "state").rglob("*.json"))


@contextlib.contextmanager
def slow_update(tmp_path: Path) -> Iterator[tuple[int, int, int]]:
    """Start an update that hangs in a provider; yield the ids of engine, language host and provider."""
    probe = project(
        tmp_path / "p", SLOW_PROGRAM, tmp_path / "state", tail="plugins: {providers: [{name: slow, path: provider}]}\n"
    )
    (probe.folder / "provider").mkdir()
    (probe.folder / "provider/PulumiPlugin.yaml").write_text(RUNTIME)
    (probe.folder / "provider/__main__.py").write_text(SLOW_PROVIDER)
    mark = tmp_path / "mark"
    engine = subprocess.Popen(
        ["pulumi", "up", "--yes", "--skip-preview", "--stack", "s", "--non-interactive"],
        cwd=probe.folder,
        env={**probe.environment, "MARK": str(mark)},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        wait_until(lambda: mark.exists() and len(mark.read_text().split()) == 2, seconds=40)
        provider, host = map(int, mark.read_text().split())
        yield engine.pid, host, provider
    finally:
        engine.kill()
        engine.wait(timeout=20)


def wait_until(condition: object, *, seconds: float) -> None:
    """Wait for a condition; fail when it does not come."""
    assert callable(condition)
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it did not come about"
        time.sleep(0.05)


def ended(pid: int) -> bool:
    """Whether a process is gone, or waits for its parent to notice."""
    try:
        return "\nState:\tZ" in Path(f"/proc/{pid}/status").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return True


def test_host_and_provider_end_with_an_engine_that_is_killed(tmp_path: Path) -> None:
    with slow_update(tmp_path) as (engine, host, provider):
        os.kill(engine, signal.SIGKILL)
        wait_until(lambda: ended(provider) and ended(host), seconds=10)


def test_the_provider_ends_with_a_host_that_is_killed(tmp_path: Path) -> None:
    with slow_update(tmp_path) as (_, host, provider):
        os.kill(host, signal.SIGKILL)
        wait_until(lambda: ended(provider), seconds=10)
