"""Doubles of two forges' runners: what a job's steps do on this machine, in a clone of a repository.

Every `run:` and `script:` is run for real, by the shell and with the environment of the forge's runner. Actions are
replaced by doubles of their names; a command of `ELSEWHERE` is only noted, since the suite itself has it.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from platform_iac.promotion import release

TOP = Path(__file__).resolve().parents[2]
SECONDS = 240
ELSEWHERE = {
    "make check": "lints: `tools/check`",
    "make test-fast": "the suite that this is part of",
    "make audit": "asks an advisory service",
    "make test-touched": "boots machines: tests/ci/test_touched.py has what is chosen",
}
"""Commands that are not run here, and where they are."""

PROOF = """\
<testsuite><properties><property name="release" value="{}"/></properties>
<testcase classname="double" name="of_the_tests_on_machines" time="1"/></testsuite>
"""


@dataclass
class Ran:
    """What came of a job."""

    result: str
    output: str = ""
    noted: list[str] = field(default_factory=list)
    seen: dict[str, str] = field(default_factory=dict)
    """Every variable that the forge gave to a step."""


@dataclass
class Runner:
    """A place where jobs run: their folders are in `home`, the repository is `remote`."""

    home: Path
    remote: Path
    artifacts: Path

    def shell(self, script: str, folder: Path, env: Mapping[str, str], ran: Ran) -> bool:
        """Run a script as both runners do: bash, which stops at the first command that fails."""
        lines = script.splitlines()
        if lines and (command := next((each for each in ELSEWHERE if lines[0].startswith(each)), None)):
            ran.noted.append(command)
            if command == "make test-touched":
                (folder / "build").mkdir(exist_ok=True)
                (folder / "build" / "twin.xml").write_text(PROOF.format(release.digest(folder)))
            return True
        file = self.home / "step.sh"
        file.write_text(script)
        clean = {"PATH": os.environ["PATH"], "HOME": str(self.home)}
        done = subprocess.run(
            ["bash", "--noprofile", "--norc", "-eo", "pipefail", str(file)],
            cwd=folder,
            env={**clean, "PYTHONPATH": str(folder), **env},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=SECONDS,
            check=False,
        )
        ran.seen |= env
        ran.output += done.stdout
        return done.returncode == 0

    def clone(self, name: str, branch: str) -> Path:
        """Clone a branch for a job; set-up is a double there, see `repository`."""
        folder = self.home / name
        shutil.rmtree(folder, ignore_errors=True)
        git(self.home, "clone", "-q", "--branch", branch, str(self.remote), name)
        (folder / ".venv").symlink_to(sys.prefix)
        with (folder / ".git" / "info" / "exclude").open("a") as exclude:
            exclude.write("/.venv\n")
        return folder


@dataclass
class GitHub(Runner):
    """GitHub Actions: `context` is what expressions read."""

    context: dict[str, Any] = field(default_factory=dict)
    commit: str = ""
    """What a run for main is of, where main has gone on since; empty for its newest."""

    def run(self, workflow: str, job: str, *, branch: str, needs: str = "success") -> Ran:
        """Run a job of a workflow for a branch. `needs` is what became of the jobs before it."""
        text = yaml.safe_load((TOP / ".github" / "workflows" / f"{workflow}.yml").read_text())
        spec = text["jobs"][job]
        if not self.holds(spec.get("if", ""), needs == "success"):
            return Ran("skipped")
        ran = Ran("success")
        summary = self.home / "summary.md"
        given = {
            "GITHUB_STEP_SUMMARY": str(summary),
            "GITHUB_REF_NAME": branch,
            "RUNNER_TEMP": str(self.home),
            "GITHUB_API_URL": self.context.get("api", ""),
            "GITHUB_REPOSITORY": self.context["github"]["repository"],
        }
        job_env = given | self.env(text.get("env", {})) | self.env(spec.get("env", {}))
        folder = self.home
        for step in spec["steps"]:
            if not self.holds(step.get("if", ""), ran.result == "success"):
                continue
            if "uses" in step:
                folder = self.action(step["uses"].split("@")[0], step.get("with", {}), folder, branch)
            elif not self.shell(step["run"], folder, job_env | self.env(step.get("env", {})), ran):
                ran.result = "failure"
        return ran

    def action(self, name: str, given: dict[str, Any], folder: Path, branch: str) -> Path:
        """Do what a double of an action does; return the folder of the next steps."""
        if name == "actions/checkout":
            return self.checkout(branch, whole="sparse-checkout" not in given)
        if name == "actions/upload-artifact":
            target = self.artifacts / self.text(given["name"])
            assert not target.exists() or given.get("overwrite"), f"{target.name} is uploaded twice"
            assert any((folder / given["path"]).iterdir()), "no files"
            shutil.rmtree(target, ignore_errors=True)
            shutil.copytree(folder / given["path"], target)
        elif name == "actions/download-artifact":
            shutil.copytree(self.artifacts / given["name"], folder / given["path"])
        elif name == "github/codeql-action/upload-sarif":
            assert json.loads((folder / given["sarif_file"]).read_text())["version"] == "2.1.0"
        else:
            assert name == "actions/setup-python", f"there is no double of {name}"
        return folder

    def checkout(self, branch: str, *, whole: bool) -> Path:
        """Check out what GitHub does: for a pull request, its merge with main; else the commit, as `origin/main`."""
        folder = self.clone("github", "main")
        if self.commit and branch == "main":
            git(folder, "reset", "-q", "--hard", self.commit)
            git(folder, "update-ref", "refs/remotes/origin/main", self.commit)
        if branch != "main" and whole:
            git(folder, "merge", "-q", "--no-ff", "-m", "merge", f"origin/{branch}")
        return folder

    def holds(self, condition: str, well: bool) -> bool:
        """Whether a step or job with this `if` is run: one that names no status needs that all went well."""
        condition = condition.strip().removeprefix("${{").removesuffix("}}")
        names_status = re.search(r"\b(always|cancelled|failure)\(\)", condition)
        return bool(self.value(condition) if condition else True) and (bool(names_status) or well)

    def value(self, expression: str) -> Any:
        """Evaluate an expression, of the few forms that the workflows have."""

        def look(name: str) -> Any:
            found: Any = self.context
            for part in name.split("."):
                found = found.get(part, "") if isinstance(found, dict) else ""
            return found

        python = re.sub(r"!(?!=)", " not ", expression.replace("&&", " and ").replace("||", " or "))
        python = re.sub(r"(?<!')\b[a-z]+(?:\.[A-Za-z_]+)+", lambda match: f"look({match[0]!r})", python)
        names = {
            "look": look,
            "always": lambda: True,
            "cancelled": lambda: False,
            "fromJSON": json.loads,
            "format": str.format,
        }
        return eval(python.strip(), {"__builtins__": {}}, names)

    def text(self, value: Any) -> str:
        """Fill the expressions in a text."""
        return re.sub(r"\$\{\{(.*?)\}\}", lambda match: str(self.value(match[1])), str(value))

    def env(self, given: Mapping[str, Any]) -> dict[str, str]:
        return {name: self.text(value) for name, value in given.items()}


@dataclass
class GitLab(Runner):
    """GitLab CI: `variables` are what the forge and its settings give a pipeline."""

    variables: dict[str, str] = field(default_factory=dict)

    def run(self, job: str, *, branch: str) -> Ran:
        """Run a job for a branch, if its rules ask for it."""
        text = yaml.safe_load((TOP / ".gitlab-ci.yml").read_text())
        spec = text.get(text[job].get("extends", ""), {}) | text[job]
        if not any(self.holds(rule.get("if", "")) for rule in self.reached(spec["rules"])):
            return Ran("skipped")
        folder = self.clone("gitlab", branch)
        if (self.artifacts / "build").is_dir():
            shutil.copytree(self.artifacts / "build", folder / "build")
        env = {name: str(value) for name, value in spec.get("variables", {}).items()} | self.variables
        ran = Ran("success")
        lines = [*spec.get("before_script", []), *spec["script"]]
        if not all(self.shell(line, folder, env, ran) for line in lines):
            ran.result = "failure"
        for line in spec.get("after_script", []):
            self.shell(line, folder, env, ran)
        for path in spec.get("artifacts", {}).get("paths", []):
            shutil.copytree(folder / path, self.artifacts / path, dirs_exist_ok=True)
        return ran

    def reached(self, rules: list[dict[str, Any]]) -> list[dict[str, Any]]:
        """The rules up to the first that says never and holds."""
        never = [number for number, rule in enumerate(rules) if rule.get("when") == "never" and self.holds(rule["if"])]
        return rules[: never[0]] if never else [rule for rule in rules if rule.get("when") != "never"]

    def holds(self, condition: str) -> bool:
        python = condition.replace("&&", " and ").replace("==", " == ").replace("null", "None")
        python = re.sub(r"=~ /(.*?)/", r".startswith('\1'.lstrip('^'))", python)
        python = re.sub(r"\$(\w+)", lambda match: f"get({match[1]!r})", python)
        return bool(eval(python.replace("\n", " "), {"__builtins__": {}}, {"get": self.variables.get}))


def git(folder: Path, *arguments: str) -> str:
    """Run git as somebody."""
    who = ["-c", "user.name=alice", "-c", "user.email=alice@example.net"]
    argv = ["git", *who, *arguments]
    done = subprocess.run(argv, cwd=folder, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()
