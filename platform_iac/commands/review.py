"""`platform-iac review`: what a change does, for a pull request. No host is reached and no credential is needed."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from platform_iac.commands import policy
from platform_iac.commands.errors import FAILED, CommandError
from platform_iac.commands.tree import TIMEOUT_SECONDS, checkout, git
from platform_iac.plan.context import PlanError
from platform_iac.promotion import release
from platform_iac.review import change, proof, report
from platform_iac.review.cells import code
from platform_iac.review.delta import Side
from platform_iac.review.markdown import markdown
from platform_iac.spec.errors import SpecError
from platform_iac.spec.load import load, locate, stacks
from policies import config
from policies.rules import all_rules

if TYPE_CHECKING:
    from collections.abc import Iterator

    from platform_iac.review.proof import Proof
    from platform_iac.spec.model import Platform
    from policies.config import Difference
    from policies.facts import Approval
    from policies.judge import Report, Verdict

_SIDE = """
import json, sys
from platform_iac.components.digest import role_digest
from platform_iac.plan import export
from platform_iac.plan.make import make
from platform_iac.spec.load import load
plan = make(load(sys.argv[1]))
print(json.dumps({"plan": export.value(plan), "digests": {run.role: role_digest(run.role) for run in plan.runs}}))
"""
"""Runs in the tree of each side, with that tree's code: a changed template or role is a change of the platform too."""


def review(stack: str | None, *, base: str, out: Path | None, junit: Path | None) -> int:
    """Print the review as Markdown, or write `review.md` and `review.sarif` to `out`; 1 where a policy refuses it.

    Without a stack: of every stack here that the change touches.
    """
    top = Path(git(Path.cwd(), "rev-parse", "--show-toplevel"))
    commit = git(top, "rev-parse", "--verify", "--end-of-options", f"{base}^{{commit}}")
    proven = proof.read(junit.read_text("utf-8"), release.digest(top)) if junit else None
    with checkout(top, commit) as old_top:
        sides = _Trees(top=top, old_top=old_top, base=base, commit=commit, proof=proven)
        made = _every(sides) if stack is None else change.Review(reports=(_report(stack, sides),))
    text = change.comment(made) if stack is None else markdown(made.reports[0])
    if out is None:
        print(text, end="")
    else:
        out.mkdir(parents=True, exist_ok=True)
        (out / "review.md").write_text(text, encoding="utf-8")
        (out / "review.sarif").write_text(change.findings(made, sides.file("{}")), encoding="utf-8")
        print(f"wrote {out / 'review.md'} and {out / 'review.sarif'}")
    return FAILED if made.failed else 0


@dataclass(frozen=True, slots=True, kw_only=True)
class _Trees:
    """The two trees that are compared."""

    top: Path
    old_top: Path
    base: str
    commit: str
    proof: Proof | None

    def file(self, stack: str) -> str:
        """Where a stack's spec is, relative to either tree."""
        spec = locate(stack).resolve()
        if not spec.is_relative_to(self.top):
            raise CommandError(f"{spec} is not in the repository {self.top} — review a stack of this checkout")
        return str(spec.relative_to(self.top))

    def before(self, folder: Path) -> Path:
        """Where a folder of this checkout is at the base; one that is not in the repository is the same for both."""
        here = folder.resolve()
        return self.old_top / here.relative_to(self.top) if here.is_relative_to(self.top) else folder


def _every(trees: _Trees) -> change.Review:
    """Review every stack, and keep what differs or is refused."""
    reports, broken = [], {}
    for stack in stacks():
        try:
            reports.append(_report(stack, trees))
        except (SpecError, PlanError) as error:
            broken[stack] = str(error).replace(f"{trees.top}/", "")
    told = tuple(report for report in reports if report.differs or report.failed)
    removed = git(trees.top, "diff", "--name-only", "--diff-filter=D", trees.commit, "--", trees.file("*"))
    gone = {Path(path).stem for path in removed.splitlines()}
    return change.Review(
        reports=told,
        broken=broken,
        gone=tuple(sorted(name for name in gone if not name.startswith(("_", "Pulumi.")))),
        untouched=tuple(report.stack for report in reports if report not in told),
    )


def _report(stack: str, trees: _Trees) -> report.Report:
    """Review one stack."""
    file = trees.file(stack)
    spec = trees.top / file
    new, head = load(spec), _side(trees.top, file)
    there = (trees.old_top / file).is_file()
    old, base, notes = _base(trees, file) if there else (None, None, (f"`{file}` is new: everything is added.",))
    judged = policy.of(str(spec), base=trees.commit)
    settings, approvals, more = _rules(trees, spec.stem, judged)
    return report.make(
        stack,
        (trees.base, _head(trees.top)),
        (old, new),
        (base, head),
        verdicts=tuple(_verdict(found) for found in judged.verdicts),
        rules=judged.judged,
        proof=trees.proof,
        settings=settings,
        approvals=approvals,
        told=not there or old is not None,
        notes=(*notes, *more),
    )


def _rules(
    trees: _Trees, stack: str, judged: Report
) -> tuple[tuple[report.Setting, ...], tuple[report.Approval, ...], tuple[str, ...]]:
    """Return what kept rules from saying more, now and at the base, with a note where the base's cannot be read."""
    had: tuple[Difference, ...] = ()
    agreed: tuple[Approval, ...] = ()
    notes: tuple[str, ...] = ()
    try:
        rules = all_rules()
        had, agreed = (
            config.load(stack, rules, trees.before(config.FOLDER)).differences(rules),
            config.approvals(stack, trees.before(config.APPROVALS)),
        )
    except config.ConfigError as error:
        notes = (f"This version refuses the base's settings or approvals (`{_short(error)}`): those here are new.",)
    return tuple(_settings(had, judged.changed)), tuple(_approvals(agreed, config.approvals(stack), judged)), notes


def _settings(before: tuple[Difference, ...], after: tuple[Difference, ...]) -> Iterator[report.Setting]:
    had, has = ({(each.rule, each.what): each for each in side} for side in (before, after))
    for place in [*has, *(place for place in had if place not in has)]:
        old, new = had.get(place), has.get(place)
        either = new or old
        if either is not None:
            yield report.Setting(
                rule=either.rule,
                what=either.what,
                default=policy.shown(either.default),
                before=policy.shown(old.configured if old else either.default),
                after=policy.shown(new.configured if new else either.default),
                because=new.because if new else "",
                new=old != new,
            )


def _approvals(before: tuple[Approval, ...], after: tuple[Approval, ...], judged: Report) -> Iterator[report.Approval]:
    opens = {used.approval: used.rules for used in judged.approved}
    for each in dict.fromkeys((*after, *before)):
        what: Literal["kept", "added", "removed"] = (
            "added" if each not in before else "kept" if each in after else "removed"
        )
        if what != "kept" or each in opens:
            yield report.Approval(change=each.change, by=each.by, why=each.why, opens=opens.get(each, ()), what=what)


def _verdict(found: Verdict) -> report.Verdict:
    return report.Verdict(
        rule=found.rule.id,
        severity="mandatory" if found.refuses else "advisory",
        subject=found.where,
        message=found.message,
        todo=found.rule.do,
        judged=found.kind == "violation",
    )


def _base(trees: _Trees, file: str) -> tuple[Platform | None, Side | None, tuple[str, ...]]:
    """Return the base's spec and plan, each as far as there is one, and what the reader must know of that."""
    old, notes = _old(trees.old_top / file)
    try:
        return old, _side(trees.old_top, file), notes
    except PlanError as error:
        return old, None, (*notes, f"The base does not plan (`{_short(error)}`): everything is shown as added.")


def _old(path: Path) -> tuple[Platform | None, tuple[str, ...]]:
    """Return the base's spec as today's code reads it, or a note that it cannot."""
    try:
        return load(path), ()
    except SpecError as error:
        count = len(error.problems)
        return None, (f"This version refuses the base's spec ({count} problems): fields are not compared one by one.",)


def _side(top: Path, file: str) -> Side:
    """Plan a stack with the code of its own tree.

    Raises:
        PlanError: that code does not.
    """
    argv = [sys.executable, "-c", _SIDE, file]
    try:
        done = subprocess.run(argv, cwd=top, capture_output=True, text=True, timeout=TIMEOUT_SECONDS, check=False)
    except subprocess.TimeoutExpired:
        raise PlanError(f"{file}: no plan after {TIMEOUT_SECONDS} s — mend the code that makes it") from None
    if done.returncode != 0:
        last = (done.stderr.strip().splitlines() or ["it said nothing"])[-1].replace(f"{top}/", "")
        raise PlanError(f"{file}: no plan: {last[:500]}")
    try:
        value: dict[str, Any] = json.loads(done.stdout)
    except ValueError:
        raise PlanError(f"{file}: no plan, but {done.stdout[:200]!r}") from None
    return Side(plan=value["plan"], digests=value["digests"])


def _short(error: Exception) -> str:
    return code(str(error))[:300]


def _head(top: Path) -> str:
    """The commit that is reviewed; `+` says that the working tree has changes beside it."""
    commit = git(top, "rev-parse", "--short=12", "HEAD")
    return commit + ("+" if git(top, "status", "--porcelain", "--untracked-files=no") else "")
