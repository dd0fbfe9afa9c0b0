"""`platform-iac review`: what a change does, for a pull request. No host is reached and no credential is needed."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from platform_iac.commands import policy
from platform_iac.commands.errors import FAILED, CommandError
from platform_iac.commands.tree import TIMEOUT_SECONDS, checkout, git
from platform_iac.plan.context import PlanError
from platform_iac.promotion import release
from platform_iac.review import change, proof, report
from platform_iac.review.delta import Side
from platform_iac.review.markdown import markdown
from platform_iac.spec.errors import SpecError
from platform_iac.spec.load import load, locate, stacks

if TYPE_CHECKING:
    from platform_iac.review.proof import Proof
    from platform_iac.spec.model import Platform
    from policies.judge import Verdict

_EMPTY = Side(plan={"hosts": [], "runs": [], "checks": [], "fabric": None}, digests={})

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
    new = load(spec)
    there = (trees.old_top / file).is_file()
    old, notes = _old(trees.old_top / file) if there else (None, (f"`{file}` is new: everything is added.",))
    sides = (_side(trees.old_top, file) if there else _EMPTY, _side(trees.top, file))
    judged = policy.of(str(spec), base=trees.commit)
    return report.make(
        stack,
        (trees.base, _head(trees.top)),
        (old, new),
        sides,
        verdicts=tuple(_verdict(found) for found in judged.verdicts),
        rules=judged.judged,
        proof=trees.proof,
        notes=notes,
    )


def _verdict(found: Verdict) -> report.Verdict:
    return report.Verdict(
        rule=found.rule.id,
        severity="mandatory" if found.refuses else "advisory",
        subject=found.where,
        message=found.message,
        todo=found.rule.do,
        judged=found.kind == "violation",
    )


def _old(path: Path) -> tuple[Platform | None, tuple[str, ...]]:
    """Return the base's spec as today's code reads it, or a note that it cannot."""
    try:
        return load(path), ()
    except SpecError as error:
        count = len(error.problems)
        return None, (f"This version refuses the base's spec ({count} problems): fields are not compared one by one.",)


def _side(top: Path, file: str) -> Side:
    """Plan a stack with the code of its own tree."""
    argv = [sys.executable, "-c", _SIDE, file]
    done = subprocess.run(argv, cwd=top, capture_output=True, text=True, timeout=TIMEOUT_SECONDS, check=False)
    if done.returncode != 0:
        last = (done.stderr.strip().splitlines() or ["it said nothing"])[-1]
        raise CommandError(f"the tree {top} does not plan {file}: {last[:500]} — mend it there first")
    value: dict[str, Any] = json.loads(done.stdout)
    return Side(plan=value["plan"], digests=value["digests"])


def _head(top: Path) -> str:
    """The commit that is reviewed; `+` says that the working tree has changes beside it."""
    commit = git(top, "rev-parse", "--short=12", "HEAD")
    return commit + ("+" if git(top, "status", "--porcelain", "--untracked-files=no") else "")
