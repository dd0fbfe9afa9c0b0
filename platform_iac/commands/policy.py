"""`platform-iac policy`: what the policies say of a stack's plan, without an engine, a host or credentials."""

from __future__ import annotations

import datetime as dt
import json as json_module
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from platform_iac.commands.errors import FAILED, CommandError
from platform_iac.commands.layout import table
from platform_iac.commands.tree import checkout, git
from platform_iac.plan.context import PlanError
from platform_iac.plan.impact import touched, unread
from platform_iac.plan.make import make
from platform_iac.plan.resources import KEY, declared
from platform_iac.spec.errors import SpecError
from platform_iac.spec.load import load, locate
from policies import config, facts
from policies.judge import Report, judge
from policies.rules import all_rules
from policies.target import Target

if TYPE_CHECKING:
    from platform_iac.plan.model import Plan
    from platform_iac.spec.model import Platform
    from policies.judge import Used


def policy(stack: str, *, json: bool, base: str | None, state: Path | None) -> int:
    """Print the report; 1 when a mandatory rule is broken or could not judge."""
    report = of(stack, base=base, state=state)
    print(data(report) if json else text(stack, report), end="")
    return FAILED if report.refused else 0


def of(stack: str, *, base: str | None = None, state: Path | None = None) -> Report:
    """Return what the policies say of a stack: with `base`, a git revision, also of what changes since then.

    `state` is what `pulumi stack export` wrote; it tells when secrets were made.

    Raises:
        CommandError: settings or approvals of the stack, the revision, or the state cannot be read.
    """
    spec = load(stack)
    plan = make(spec)
    name, rules = locate(stack).stem, all_rules()
    made = _made(state) if state else {}
    targets = [
        Target(each.type, each.name, each.inputs, made.get(each.name, "") if each.type == KEY else "")
        for each in declared(plan)
    ]
    known = replace(facts.of(spec, plan), today=dt.datetime.now(tz=dt.UTC).date().isoformat())
    try:
        known = replace(known, approvals=config.approvals(name))
        if base is not None:
            known = _since(known, stack, base, (spec, plan))
        return judge(targets, rules, config.load(name, rules), known)
    except config.ConfigError as error:
        raise CommandError(str(error)) from None


def data(report: Report) -> str:
    """Return the report for programs; its SHA-256 is what the evidence of a promotion keeps."""
    return json_module.dumps(report.data(), indent=2) + "\n"


def text(stack: str, report: Report) -> str:
    """Return the report for people: what refuses first, each with what to do."""
    parts = []
    for verdict in report.verdicts:
        says = verdict.message if verdict.kind == "violation" else f"could not judge: {verdict.message}"
        reference = f" ({verdict.rule.reference})" if verdict.rule.reference else ""
        parts.append(
            f"{verdict.severity} {verdict.rule.id}{reference}\n  {verdict.where}: {says}\n  {verdict.rule.do}\n"
        )
    parts.append(table("Switched off for this stack", list(report.off)))
    parts.append(table("Otherwise than the rules' own", [_row(each) for each in report.changed if not each.off]))
    parts.append(table("Approved by name", [_consent(each) for each in report.approved]))
    refusing = sum(verdict.refuses for verdict in report.verdicts)
    parts.append(f"{stack}: {report.judged} rules, {len(report.verdicts)} remarks, {refusing} refuse it\n")
    return "\n".join(part for part in parts if part)


def _row(each: config.Difference) -> tuple[str, ...]:
    return each.rule, each.what, f"{shown(each.default)} → {shown(each.configured)}", each.because


def _consent(used: Used) -> tuple[str, ...]:
    return used.approval.change, ", ".join(used.rules), used.approval.by, used.approval.why


def shown(value: Any) -> str:
    """Return a severity or a setting as people write it, in one line that shows all of it."""
    said = value if isinstance(value, str) else json_module.dumps(value, ensure_ascii=False)
    return said if said.isprintable() else json_module.dumps(value)


def _made(state: Path) -> dict[str, str]:
    """When each secret of an exported state was made (ISO 8601), by name."""
    try:
        resources = json_module.loads(state.read_text(encoding="utf-8"))["deployment"].get("resources") or []
        return {each["urn"].rpartition("::")[2]: each.get("created", "") for each in resources if each["type"] == KEY}
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise CommandError(f"{state} is no exported state ({error}) — `pulumi stack export --file {state}`") from None


def _since(known: facts.Facts, stack: str, base: str, new: tuple[Platform, Plan]) -> facts.Facts:
    """Add what changes since `base`; nothing where the stack did not exist then."""
    spec = locate(stack).resolve()
    top = Path(git(spec.parent, "rev-parse", "--show-toplevel"))
    commit = git(top, "rev-parse", "--verify", "--end-of-options", f"{base}^{{commit}}")
    with checkout(top, commit) as tree:
        path = tree / spec.relative_to(top)
        if not path.is_file():
            return known
        try:
            old = load(path)
            return replace(known, touched=touched((old, make(old)), new))
        except (SpecError, PlanError) as error:
            why = str(error).replace(f"{tree}/", "")
            specs = git(top, "rev-parse", f"{commit}:{_folder(spec, top)}")
            return replace(
                known,
                untold=f"the spec of {base} cannot be read by this version: {why}",
                untold_change=unread(specs, new[0]),
            )


def _folder(spec: Path, top: Path) -> str:
    """Where the specs are, as git calls it: nothing where they are at the top."""
    folder = spec.parent.relative_to(top).as_posix()
    return "" if folder == "." else folder
