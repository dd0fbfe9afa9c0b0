"""Run single role runs of a plan on a lab's machines, as the provider would."""

from __future__ import annotations

import json
import re
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

from platform_iac.commands.ansible import export
from platform_iac.plan.model import Run
from platform_iac.provider.runner import owner
from tests.twin_support.machines import Lab, call

PLAYBOOK = Path(sys.executable).with_name("ansible-playbook")
_RECAP = re.compile(r"^(\S+)\s*: ok=(\d+)\s+changed=(\d+)\s+unreachable=(\d+)\s+failed=(\d+)", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Play:
    """What one role run did: `changed` tasks by host, and Ansible's output."""

    rc: int
    changed: dict[str, int]
    output: str

    def ok(self) -> Play:
        """Return itself; AssertionError with Ansible's output where it failed."""
        assert self.rc == 0, self.output[-8000:]
        return self


def play(
    lab: Lab,
    run_name: str,
    *,
    check: bool = False,
    moment: str = "main",
    hosts: tuple[str, ...] = (),
    timeout: int = 600,
) -> Play:
    """Run the role of the run called `run_name` on its hosts (or `hosts`): one moment of it, `check` for a dry run."""
    run = find(lab, run_name)
    return _run(lab, [run], moment, *(["--check"] if check else []), hosts=hosts or run.hosts, timeout=timeout)


def _run(lab: Lab, runs: list[Run], moment: str, *options: str, hosts: tuple[str, ...] = (), timeout: int) -> Play:
    with tempfile.TemporaryDirectory(prefix="platform-iac-test-") as folder:
        directory = Path(folder)
        export(lab.plan, directory, {site.name: lab.ssh_config for site in lab.plan.sites})
        (directory / "one.yml").write_text(json.dumps([_play(lab, run, moment) for run in runs]))
        secrets = directory / "secrets.json"
        secrets.touch(mode=0o600)
        secrets.write_text(json.dumps({name: lab.secrets[name] for run in runs for name in run.secrets}))
        argv = [str(PLAYBOOK), "one.yml", "--diff", *options, *(["--limit", ",".join(hosts)] if hosts else [])]
        env = {"PLATFORM_IAC_SECRETS": str(secrets), "ANSIBLE_NOCOLOR": "1", "ANSIBLE_FORCE_COLOR": "0"}
        done = call(argv, timeout=timeout, cwd=directory, env=env)
    changed = {found[1]: int(found[3]) for found in _RECAP.finditer(done.text)}
    return Play(done.rc, changed, done.text)


def find(lab: Lab, run_name: str) -> Run:
    """Return the run of this name."""
    return next(run for run in lab.plan.runs if run.name == run_name)


def up_to(lab: Lab, run_name: str) -> None:
    """Apply every run that comes before `run_name` in the plan."""
    names = [run.name for run in lab.plan.runs]
    _run(lab, list(lab.plan.runs[: names.index(run_name)]), "main", timeout=1200).ok()


def _play(lab: Lab, run: Run, moment: str) -> dict[str, object]:
    role = {"name": run.role, "tasks_from": f"{moment}.yml"}
    me = {"platform": lab.name, "stack": run.name, "by": "tests", "place": "here", "role": run.name}
    verb = "leave" if moment == "teardown" else "take"
    owned = {"name": verb, "ansible.builtin.raw": "{{ owner }}", "changed_when": False}
    done = {"name": f"Role {run.role}, {moment}", "ansible.builtin.include_role": role}
    return {
        "name": f"Run {run.name}",
        "hosts": ",".join(run.hosts),
        "gather_facts": False,
        "any_errors_fatal": False,
        "vars": {"owner": owner.command(verb, me)},
        "vars_files": [f"runs/{run.name}/all.yml", f"runs/{run.name}/{{{{ inventory_hostname }}}}.yml"],
        "tasks": [done, owned] if verb == "leave" else [owned, done],
    }
