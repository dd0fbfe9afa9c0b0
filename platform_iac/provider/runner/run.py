"""Run one job with ansible-runner and say what became of each host."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from platform_iac.provider import reach
from platform_iac.provider.handlers import Severity
from platform_iac.provider.reach import ReachError, Target
from platform_iac.provider.runner import play, private
from platform_iac.provider.runner.events import Outcome, Reporter
from platform_iac.provider.runner.play import Job

FORKS = 50
POLL_SECONDS = 0.2
PROJECT = Path(__file__).resolve().parents[3]


def run(job: Job, log: Callable[[Severity, str], None], cancelled: threading.Event) -> dict[str, Outcome]:
    """Run the job to its end on every host that can be reached. The result has an entry for each host.

    Nothing is raised for a host that fails; its outcome says why. A job that cannot start at all
    fails on all hosts alike.
    """
    reporter = Reporter(log, job.secrets, job.former, show_diffs=job.check)
    try:
        targets = _targets(job)
    except (ReachError, OSError) as error:
        return {name: Outcome(reason=str(error)) for name in job.hosts}
    with private.run_folder() as folder, private.secret_file(job.secrets) as secrets:
        _write(job, targets, folder)
        verdict = _ansible(job, folder, secrets, reporter, cancelled)
    reporter.close()
    for name in job.hosts:
        outcome = reporter.outcomes.setdefault(name, Outcome())
        if not outcome.finished and not outcome.reason:
            outcome.reason = reporter.redact(verdict)
    return {name: reporter.outcomes[name] for name in job.hosts}


def _targets(job: Job) -> dict[str, Target]:
    config = str(job.inputs.get("sshConfig", reach.LOCAL))
    hosts = job.inputs["hosts"]
    with ThreadPoolExecutor(8) as pool:
        found = pool.map(lambda name: reach.target(name, hosts[name], config), job.hosts)
        return dict(zip(job.hosts, found, strict=True))


def _write(job: Job, targets: dict[str, Target], folder: Path) -> None:
    for name in ("home", "tmp", "project", "inventory"):
        (folder / name).mkdir(mode=0o700)
    (folder / "ansible.cfg").write_text(play.SETTINGS, encoding="utf-8")
    (folder / "known_hosts").write_text(play.known_hosts(targets), encoding="utf-8")
    (folder / "project" / "play.yml").write_text(play.playbook(job), encoding="utf-8")
    (folder / "inventory" / "hosts.yml").write_text(play.inventory(job, targets, folder), encoding="utf-8")


def _ansible(job: Job, folder: Path, secrets: str, reporter: Reporter, cancelled: threading.Event) -> str:
    """Run ansible-playbook and return why hosts that were not finished were not."""
    environment = play.environment(job, folder, private.home() / "s", secrets)
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', os.defpath)}"
    environment |= {private.MARK: str(folder), "PATH": path, "PYTHONPATH": str(PROJECT)}
    settings = {"cmdline": "--check --diff" if job.check else "--diff", "forks": min(len(job.hosts), FORKS)}
    (folder / "run.json").write_text(json.dumps(settings), encoding="utf-8")
    with (
        (folder / "said").open("w+", encoding="utf-8") as said,
        subprocess.Popen(
            [sys.executable, "-m", "platform_iac.provider.runner.child", str(folder)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=said,
            text=True,
            cwd=folder,
            env={**os.environ, **environment},
            start_new_session=True,
        ) as child,
    ):
        finished = threading.Event()
        threading.Thread(target=_stop_when, args=(cancelled, finished, folder), daemon=True).start()
        for line in child.stdout or ():
            if line.startswith("{"):
                reporter(json.loads(line))
        status = child.wait()
        finished.set()
    if cancelled.is_set():
        return "stopped before it was done"
    return f"ansible-playbook ended with status {status}: {_last_words(folder)}"


def _stop_when(cancelled: threading.Event, finished: threading.Event, folder: Path) -> None:
    """Kill the run as soon as it is cancelled; Ansible itself has nothing that a killed task could lose."""
    while not finished.wait(POLL_SECONDS):
        if cancelled.is_set():
            private.end_processes(folder)


def _last_words(folder: Path) -> str:
    for name in ("artifacts/run/stdout", "artifacts/run/stderr", "said"):
        path = folder / name
        text = path.read_text(encoding="utf-8", errors="replace").strip() if path.exists() else ""
        if text:
            return text[-800:]
    return "it said nothing"
