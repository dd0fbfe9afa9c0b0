"""`platform-iac promote` and `approve`: bring a release into an environment, and keep the evidence.

Nothing is touched unless every gate is open. What happens then is written down, also when it fails.
"""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from platform_iac.checks import run
from platform_iac.commands import drift, evidence, policy, running, state, table
from platform_iac.commands.check import reach
from platform_iac.commands.errors import FAILED, CommandError
from platform_iac.commands.pulumi import TOP, captured, select
from platform_iac.commands.tree import checkout, git
from platform_iac.plan.make import make
from platform_iac.promotion import gates, release
from platform_iac.promotion.evidence import Entry
from platform_iac.spec.load import load

if TYPE_CHECKING:
    from platform_iac.promotion.evidence import Action
    from platform_iac.spec.model import Platform
    from policies.judge import Report


def promote(*, to: str, key: Path, rollback: bool) -> int:
    """Bring this checkout's release into the environment `to`, or with `rollback` its former good one."""
    spec = load(to)
    entries, who = evidence.read(), evidence.owner(key)
    if rollback:
        return _rollback(to, key, who, entries)
    new = release.digest(TOP)
    since = running.commit(to)
    judged = policy.of(to, base=since)
    refusals = [*_broken(judged), *_refusals(to, spec, entries, new, who)]
    if refusals:
        print(f"{to}: release {new} is refused; nothing was touched")
        print("".join(f"  {refusal}\n" for refusal in refusals), end="")
        return FAILED
    print(f"{to}: release {new}, every gate is open", flush=True)
    commit = git(TOP, "rev-parse", "HEAD")
    entry = replace(_entry("promote", to, new, commit, who), preview=_preview(to), policies=_verdict(judged, since))
    return _apply(entry, TOP, key)


def approve(*, to: str, key: Path) -> int:
    """Record that whoever owns the key approves this checkout's release for the environment `to`."""
    load(to)
    evidence.read()
    new, who = release.digest(TOP), evidence.owner(key)
    return evidence.record(_entry("approve", to, new, git(TOP, "rev-parse", "HEAD"), who), key)


def _verdict(judged: Report, since: str | None) -> dict[str, Any]:
    """What the log keeps of the policies. `report` is the SHA-256 of what `policy STACK --base SINCE --json` prints."""
    return {
        "since": since or "",
        "rules": judged.judged,
        "refused": sum(verdict.refuses for verdict in judged.verdicts),
        "remarks": [f"{verdict.rule.id}: {verdict.where}" for verdict in judged.verdicts],
        "changed": [each.data() for each in judged.changed],
        "approved": [each.data() for each in judged.approved],
        "report": hashlib.sha256(policy.data(judged).encode()).hexdigest(),
    }


def _broken(judged: Report) -> Iterator[str]:
    for verdict in judged.verdicts:
        if verdict.refuses:
            yield f"policy {verdict.rule.id}: {verdict.where}: {verdict.message} — {verdict.rule.do}"


def _refusals(to: str, spec: Platform, entries: tuple[Entry, ...], new: str, who: str) -> Iterator[str]:
    if changed := git(TOP, "status", "--porcelain", "--", f":!{evidence.LOG}"):
        paths = [line[2:].strip() for line in changed.splitlines()]
        yield f"the checkout has changes that are not committed: {', '.join(paths[:5])} — commit them"
    terms = spec.promotion
    if terms is None:
        return
    if reason := gates.approved(entries, to, new, needed=terms.approvals, promoter=who):
        yield reason
    if terms.after is None:
        return
    yield from gates.differs_where_it_may(load(terms.after), spec)
    if reason := gates.tried_below(entries, terms.after, new):
        yield reason
        return
    select(terms.after, quiet=True, create=False)
    if reason := _other_runs(terms.after, new):
        yield reason
    for found in drift.scan(terms.after):
        said = found.said.splitlines()[0]
        yield f"`{terms.after}` drifted: {found.host}: {found.thing}: {said} — mend it there first"


def _other_runs(below: str, new: str) -> str:
    """Return what runs below, where it is no more what the log says: somebody's `up` or `down` has come since."""
    if verb := running.unfinished(below):
        return (
            f"the last `{verb}` of `{below}` did not succeed: its hosts may be half-way — "
            f"`platform-iac promote --to {below}` comes first"
        )
    if not running.known(below):
        return ""
    runs = running.commit(below)
    if runs is None:
        return f"nothing runs in `{below}` any more — `platform-iac promote --to {below}` comes first"
    with checkout(TOP, runs) as tree:
        found = release.digest(tree)
    if found == new:
        return ""
    return (
        f"`{below}` runs commit {runs[:12]}, which is release {found}: somebody applied it past the log — "
        f"`platform-iac promote --to {below}` comes first"
    )


def _rollback(to: str, key: Path, who: str, entries: tuple[Entry, ...]) -> int:
    """Apply the former good release with its own code, from its commit."""
    good = gates.former(entries, to)
    if good is None:
        raise CommandError(f"{to} has no former good release to return to — the log has none")
    print(f"{to}: back to release {good.release} of {good.time}, commit {good.commit[:12]}", flush=True)
    with checkout(TOP, good.commit) as top:
        (top / ".venv").symlink_to(sys.prefix)
        config = TOP / "stacks" / f"Pulumi.{to}.yaml"
        if config.is_file():
            (top / "stacks" / config.name).write_bytes(config.read_bytes())
        if (found := release.digest(top)) != good.release:
            raise CommandError(f"commit {good.commit[:12]} is release {found}, the log says {good.release}")
        if (top / "requirements.lock").read_bytes() != (TOP / "requirements.lock").read_bytes():
            raise CommandError(
                f"commit {good.commit[:12]} has other Python packages — check it out, run `tools/setup` and "
                "`tools/evidence --take`, and say the same there"
            )
        return _apply(_entry("rollback", to, good.release, good.commit, who), top, key)


def _preview(stack: str) -> str:
    """Return the digest of what `pulumi preview` would do."""
    select(stack, quiet=True)
    done = captured("preview", "--json", "--stack", stack)
    if done.returncode != 0:
        raise CommandError(f"pulumi preview of {stack} failed: {(done.stderr + done.stdout).strip()[-1000:]}")
    steps = json.loads(done.stdout[done.stdout.index("{\n") :])["steps"]
    what = sorted((str(step["urn"]), str(step["op"])) for step in steps)
    print(f"  preview: {sum(op != 'same' for _, op in what)} of {len(what)} resources change", flush=True)
    return hashlib.sha256(json.dumps(what).encode()).hexdigest()


def _apply(entry: Entry, top: Path, key: Path) -> int:
    """Apply with the code at `top`, check, and write down what came of it, whatever that is.

    A line before it says that it began: what a killed run did is not unknown, and opens no gate.
    """
    evidence.begin(entry, key)
    try:
        done = _tried(entry, top)
    except KeyboardInterrupt:
        done = replace(entry, passed=False, checks={"interrupted": True})
    except Exception as error:
        evidence.record(replace(entry, passed=False, checks={"error": f"{type(error).__name__}: {error}"[:500]}), key)
        raise
    return evidence.record(done, key)


def _tried(entry: Entry, top: Path) -> Entry:
    done = state.apply(entry.stack, top=top)
    if done != 0:
        return replace(entry, passed=False, checks={"applied": False})
    results = _checks(entry.stack, top)
    failed = sorted(str(result["name"]) for result in results if not result["passed"])
    return replace(
        entry, passed=not failed, checks={"applied": True, "passed": len(results) - len(failed), "failed": failed}
    )


def _checks(stack: str, top: Path) -> list[dict[str, Any]]:
    """Run the checks of the plan that was applied."""
    if top == TOP:
        plan = make(load(stack))
        results = run.run(plan, reach(stack, plan))
        print(table.checks(results), flush=True)
        return [{"name": result.check.name, "passed": result.passed} for result in results]
    argv = [sys.executable, "-m", "platform_iac.cli", "check", stack]
    done = subprocess.run(argv, cwd=top, check=False)  # the current folder comes first on Python's path
    return [{"name": f"checks of {stack}", "passed": done.returncode == 0}]


def _entry(action: Action, stack: str, new: str, commit: str, who: str) -> Entry:
    now = datetime.now(UTC).isoformat(timespec="seconds")
    return Entry(sequence=0, previous="", time=now, who=who, action=action, stack=stack, release=new, commit=commit)
