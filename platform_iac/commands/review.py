"""`platform-iac review`: what a change does, for a pull request. No host is reached and no credential is needed."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from platform_iac.commands import policy
from platform_iac.commands.errors import FAILED, CommandError
from platform_iac.commands.tree import TIMEOUT_SECONDS, checkout, git
from platform_iac.review import proof, report
from platform_iac.review.delta import Side
from platform_iac.review.markdown import markdown
from platform_iac.review.sarif import sarif
from platform_iac.spec.errors import SpecError
from platform_iac.spec.load import load, locate

if TYPE_CHECKING:
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


def review(stack: str, *, base: str, out: Path | None, junit: Path | None) -> int:
    """Print the review as Markdown, or write `review.md` and `review.sarif` to `out`; 1 where a policy refuses it."""
    top = Path(git(Path.cwd(), "rev-parse", "--show-toplevel"))
    spec = locate(stack).resolve()
    if not spec.is_relative_to(top):
        raise CommandError(f"{spec} is not in the repository {top} — review a stack of this checkout")
    file = str(spec.relative_to(top))
    commit = git(top, "rev-parse", "--verify", "--end-of-options", f"{base}^{{commit}}")
    new = load(spec)
    with checkout(top, commit) as old_top:
        there = (old_top / file).is_file()
        old, notes = _old(old_top / file) if there else (None, (f"`{file}` is new: everything is added.",))
        sides = (_side(old_top, file) if there else _EMPTY, _side(top, file))
    judged = policy.of(str(spec), base=commit)
    made = report.make(
        stack,
        (base, _head(top)),
        (old, new),
        sides,
        verdicts=tuple(_verdict(found) for found in judged.verdicts),
        rules=judged.judged,
        proof=proof.read(junit.read_text("utf-8")) if junit else None,
        notes=notes,
    )
    if out is None:
        print(markdown(made), end="")
    else:
        out.mkdir(parents=True, exist_ok=True)
        (out / "review.md").write_text(markdown(made), encoding="utf-8")
        (out / "review.sarif").write_text(sarif(made, file), encoding="utf-8")
        print(f"wrote {out / 'review.md'} and {out / 'review.sarif'}")
    return FAILED if made.failed or (made.proof and made.proof.failed) else 0


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
