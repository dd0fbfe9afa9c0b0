"""Cases of rules as data: `cases/<rule id>.yaml` with `passes`, `fails` and `evades`.

A case has `resources`, and where it needs them `settings` and `facts`. A resource with `role` is short for an Ansible
role on one host; a file that is a text has Ansible's usual mode. `(unknown)` is a value that a preview does not know.
A case of `fails` or `evades` `says` part of what must be said. One that evades may end in `could not judge`: what
matters is that it does not pass.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML

from platform_iac.plan.impact import GRAVE, Touched
from platform_iac.spec.hostlist import expand
from policies import config
from policies.facts import Approval, Facts
from policies.judge import Report, judge
from policies.rule import Rule
from policies.target import ROLE, Target
from policies.values import UNKNOWN

FOLDER = Path(__file__).parent / "cases"
KINDS = ("passes", "fails", "evades")


@dataclass(frozen=True)
class Case:
    """One case: what it is called, what it must say, and what is judged."""

    rule: str
    kind: str
    data: dict[str, Any]

    @property
    def says(self) -> str:
        return str(self.data.get("says", ""))

    def report(self, rules: tuple[Rule, ...]) -> Report:
        """Judge the case by its rule alone."""
        rule = next(rule for rule in rules if rule.id == self.rule)
        own = {"because": "a case", **self.data.get("settings", {})}
        facts = dict(self.data.get("facts", {}))
        if "approvals" in facts:
            facts["approvals"] = tuple(Approval(**each) for each in facts["approvals"])
        if "touched" in facts:
            facts["touched"] = _touched(facts["touched"])
        if "teams" in facts:
            facts["teams"] = tuple(facts["teams"])
        targets = [target(each) for each in self.data.get("resources", [])]
        return judge(targets, (rule,), config.read({"rules": {rule.id: own}}, rules, "case"), Facts(**facts))


def cases() -> Iterator[Case]:
    """Yield every case of every rule."""
    for path in sorted(FOLDER.glob("*.yaml")):
        found = YAML(typ="safe", pure=True).load(path)
        for kind in KINDS:
            for data in found.get(kind, []):
                yield Case(path.stem, kind, data)


def _touched(data: dict[str, Any]) -> Touched:
    return Touched(
        {impact: expand(data["hosts"][impact]) if impact in data.get("hosts", {}) else () for impact in GRAVE},
        {impact: tuple(data.get("why", {}).get(impact, ())) for impact in GRAVE},
        data.get("digest", "0123456789abcdef"),
    )


def target(data: dict[str, Any]) -> Target:
    """Return the resource that a case describes."""
    data = _unknowns(data)
    if "role" not in data:
        return Target(data["type"], data.get("name", "it"), data.get("inputs", {}), data.get("created", ""))
    inputs = {"hosts": {"h1": {}}, **{key: value for key, value in data.items() if key != "name"}}
    inputs["files"] = _files(inputs.get("files"))
    if isinstance(inputs["hosts"], dict):
        inputs["hosts"] = {
            name: {**(host or {}), "files": _files((host or {}).get("files"))} for name, host in inputs["hosts"].items()
        }
    return Target(ROLE, data.get("name", data["role"]), inputs)


def _files(files: Any) -> Any:
    if not isinstance(files, dict):
        return files
    return {
        path: {"content": about} if isinstance(about, str) or about is UNKNOWN else about
        for path, about in files.items()
    }


def _unknowns(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _unknowns(each) for key, each in value.items()}
    if isinstance(value, list):
        return [_unknowns(each) for each in value]
    return UNKNOWN if value == "(unknown)" else value
