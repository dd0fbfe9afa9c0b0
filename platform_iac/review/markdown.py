"""The report as one Markdown comment that fits into a forge's limit."""

from __future__ import annotations

import difflib
from dataclasses import replace
from typing import TYPE_CHECKING

from platform_iac.review.cells import LIMIT, MOST_ROWS, code, escape, folded, table
from platform_iac.spec.errors import dotted
from platform_iac.spec.hostlist import compress

if TYPE_CHECKING:
    from collections.abc import Sequence

    from platform_iac.review.delta import FileChange, RunChange
    from platform_iac.review.proof import Proof
    from platform_iac.review.report import Report, Verdict


def markdown(report: Report, *, limit: int = LIMIT) -> str:
    """Return the comment: the verdict first, then what changes, and line diffs as far as they fit."""
    parts = [
        _head(report),
        _policies(report),
        _changes(report),
        _runs(report),
        _capacity(report),
        _proof(report.proof),
    ]
    text = "\n".join(part for part in parts if part)
    return text + _diffs([file for run in report.delta.runs for file in run.files], limit - len(text))


def _head(report: Report) -> str:
    found = report.delta
    touched = found.touched
    mark = "❌ refused by policy" if report.failed else "✅ no policy refuses it"
    hosts = f"{_count(touched)} touched" + (f" ({compress(touched)})" if 0 < len(touched) <= MOST_ROWS else "")
    words = ((found.added, "added"), (found.removed, "removed"))
    new = [f"{_count(names)} {word}" for names, word in words if names]
    resources = ", ".join(f"{count} to {what}" for what, count in found.resources.items() if what != "same" and count)
    sentences = (
        f"Between `{code(report.base)}` and `{code(report.head)}`: {'; '.join([hosts, *new])}.",
        f"Gravest impact of the spec's changes: **{report.impact}**.",
        f"Role resources: {resources or 'none change'}, {found.resources.get('same', 0)} unchanged.",
        f"Checks: {found.checks[0]} before, {found.checks[1]} after.",
    )
    notes = [f"\n> {note}" for note in report.notes]
    return "\n".join([f"## `{code(report.stack)}`: {mark}", "", " ".join(sentences), *notes]) + "\n"


def _count(hosts: Sequence[str]) -> str:
    return f"{len(hosts)} host{'' if len(hosts) == 1 else 's'}"


def _policies(report: Report) -> str:
    if not report.verdicts:
        return f"### Policies\n\n{report.rules} rules asked, nothing found.\n"
    rows = [_verdict(verdict) for verdict in report.verdicts]
    head = f"{report.rules} rules asked, {len(report.failed)} refuse, {len(rows) - len(report.failed)} advise."
    return f"### Policies\n\n{head}\n\n{table(('', 'rule', 'where', 'what and what to do'), rows)}"


def _verdict(verdict: Verdict) -> tuple[str, ...]:
    mark = "❌" if verdict.severity == "mandatory" else "⚠️"
    said = verdict.message if verdict.judged else f"could not judge: {verdict.message}"
    todo = f" — {verdict.todo}" if verdict.todo else ""
    return (mark, f"`{code(verdict.rule)}`", f"`{code(verdict.subject)}`", said + todo)


def _changes(report: Report) -> str:
    if not report.changes:
        return ""
    rows = [
        (
            f"`{code(dotted(found.change.path))}`",
            _short(found.change.before),
            _short(found.change.after),
            f"**{found.change.impact}**",
            str(found.hosts or ""),
        )
        for found in report.changes
    ]
    return f"### Spec\n\n{table(('field', 'before', 'after', 'impact', 'hosts of the pool'), rows)}"


def _runs(report: Report) -> str:
    rows = [_run(run) for run in report.delta.runs]
    head = ("run", "", "hosts", "files", "beside files", "restarts")
    return f"### What `up` does\n\n{table(head, rows)}" if rows else "### What `up` does\n\nNothing.\n"


def _run(run: RunChange) -> tuple[str, ...]:
    files = ", ".join(f"`{code(file.path)}`" for file in run.files[:8])
    more = f", {len(run.files) - 8} more" if len(run.files) > 8 else ""
    restarts = ", ".join(f"`{code(unit)}`" for unit in run.restarts)
    return (f"`{code(run.run)}`", run.what, _hosts(run.hosts), files + more, ", ".join(run.parts), restarts)


def _capacity(report: Report) -> str:
    if not report.capacity:
        return ""
    rows = [
        (name, f"{before:,}", f"{after:,}", f"{after - before:+,}") for name, before, after in sorted(report.capacity)
    ]
    return f"### Capacity\n\n{table(('', 'before', 'after', 'change'), rows)}"


def _proof(proof: Proof | None) -> str:
    if proof is None:
        return "### Twin\n\nNo test report was given: this change is not proven on the twin.\n"
    mark = "❌" if proof.failed else "✅"
    text = f"### Twin\n\n{mark} {proof.passed} tests passed, {len(proof.failed)} failed, {proof.skipped} skipped.\n"
    return text + "".join(f"- `{code(name)}`\n" for name in proof.failed[:MOST_ROWS])


def _diffs(files: Sequence[FileChange], room: int) -> str:
    """Return the line diffs that fit into `room` characters; the others by their number."""
    if not files:
        return ""
    text = "\n### Files\n\n"
    left = 0
    for file in _together(files):
        block = _diff(file)
        if len(text) + len(block) > room - 100:
            left += 1
        else:
            text += block
    return text + (f"{left} more files change; `platform-iac plan` has their text.\n" if left else "")


def _together(files: Sequence[FileChange]) -> list[FileChange]:
    """Return each change of a text once, with the hosts of all runs that make it."""
    found: dict[tuple[object, ...], FileChange] = {}
    for file in files:
        key = (file.path, file.before, file.after, file.what, file.attributes)
        seen = found.get(key)
        found[key] = replace(file, hosts=(*seen.hosts, *file.hosts)) if seen else file
    return list(found.values())


def _diff(file: FileChange) -> str:
    lines = [
        line.rstrip("\n")
        for line in difflib.unified_diff(file.before.splitlines(), file.after.splitlines(), lineterm="", n=2)
    ][2:]
    said = "".join(f", {escape(words)}" for words in file.attributes)
    summary = f"<code>{escape(file.path)}</code> {file.what} on {escape(compress(file.hosts))}{said}"
    return folded(summary, lines)


def _hosts(hosts: Sequence[str]) -> str:
    short = compress(hosts)
    return f"{len(hosts)}: {short}" if len(short) <= 80 else str(len(hosts))


def _short(value: object) -> str:
    if value is None:
        return ""
    text = str(value)
    return f"`{code(text if len(text) <= 60 else text[:57] + '…')}`"
