"""The report as one Markdown comment that fits into a forge's limit."""

from __future__ import annotations

import difflib
from dataclasses import replace
from typing import TYPE_CHECKING, Final

from platform_iac.review.cells import LIMIT, MOST_ROWS, code, escape, folded, table
from platform_iac.spec.base import Model
from platform_iac.spec.errors import dotted
from platform_iac.spec.hostlist import compress

if TYPE_CHECKING:
    from collections.abc import Sequence

    from platform_iac.review.cost import Cost
    from platform_iac.review.delta import FileChange, RunChange
    from platform_iac.review.proof import Proof
    from platform_iac.review.report import Report, Verdict

MOST_SAID: Final = 400
"""Characters of one verdict, so that all of a table fit; SARIF has them whole."""

MOST_WRITTEN: Final = 160
"""Characters of one thing that somebody wrote into settings or approvals."""

ROOM_FOR_DIFFS: Final = 2_000
"""Characters kept for the files, and for the headings of parts that do not fit."""


def markdown(report: Report, *, limit: int = LIMIT) -> str:
    """Return the comment: the verdict first, then what changes, and line diffs as far as they fit."""
    parts = [
        _head(report),
        _policies(report),
        _approvals(report),
        _settings(report),
        _changes(report),
        _runs(report),
        _capacity(report),
        _cost(report.cost),
        _proof(report.proof),
    ]
    text = _fitting([part for part in parts if part], limit - ROOM_FOR_DIFFS)
    return text + _diffs([file for run in report.delta.runs for file in run.files], limit - len(text))


def _fitting(parts: Sequence[str], room: int) -> str:
    """Return the parts that fit, the first of them first; of one that does not, its heading and that it is left out."""
    text = ""
    for part in parts:
        whole = len(text) + len(part) < room
        text += f"\n{part}" if whole else f"\n{part.splitlines()[0]}\n\nLeft out: it does not fit into a comment.\n"
    return text[1:]


def _head(report: Report) -> str:
    found = report.delta
    touched = found.touched
    mark = "❌ refused by policy" if report.failed else "✅ no policy refuses it"
    mark += ", ⚠️ by an approval" if any(each.opens for each in report.approvals) else ""
    mark += ", ⚠️ rules are set otherwise" if any(each.new for each in report.settings) else ""
    impact = f"**{report.impact}**" if report.told else "**not known**"
    hosts = f"{_count(touched)} touched" + (f" ({compress(touched)})" if 0 < len(touched) <= MOST_ROWS else "")
    words = ((found.added, "added"), (found.removed, "removed"))
    new = [f"{_count(names)} {word}" for names, word in words if names]
    resources = ", ".join(f"{count} to {what}" for what, count in found.resources.items() if what != "same" and count)
    sentences = (
        f"Between `{code(report.base)}` and `{code(report.head)}`: {'; '.join([hosts, *new])}.",
        f"Gravest impact of the spec's changes: {impact}.",
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
    return (mark, f"`{code(verdict.rule)}`", f"`{code(_cut(verdict.subject, 80))}`", _cut(said + todo, MOST_SAID))


def _approvals(report: Report) -> str:
    if not report.approvals:
        return ""
    rows = [
        (
            each.what,
            _quoted(each.change),
            ", ".join(f"`{rule}`" for rule in each.opens),
            _quoted(each.by),
            _quoted(each.why),
        )
        for each in sorted(report.approvals, key=lambda each: not each.opens)
    ]
    used = sum(bool(each.opens) for each in report.approvals)
    head = f"{used} used: without {'it' if used == 1 else 'them'} these rules would speak."
    said = head if used else "None is of this change."
    return f"### Approvals\n\n{said}\n\n{table(('', 'change', 'opens', 'by', 'why'), rows)}"


def _settings(report: Report) -> str:
    if not report.settings:
        return ""
    rows = [
        (
            "⚠️" if each.new else "",
            *map(_quoted, (each.rule, each.what, each.default, each.before, each.after, each.because)),
        )
        for each in sorted(report.settings, key=lambda each: not each.new)
    ]
    new = sum(each.new for each in report.settings)
    said = f"{len(rows)} otherwise than the rules' own at base or head, {new} by this change."
    head = ("", "rule", "what", "the rule's own", "before", "after", "because")
    return f"### Settings of policies\n\n{said}\n\n{table(head, rows)}"


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


def _cost(cost: Cost | None) -> str:
    if cost is None:
        return "### Cost\n\nThe spec states no `prices`: what this costs to buy is not told.\n"
    change = f"{cost.after - cost.before:+,}" if cost.after != cost.before else "no change"
    text = f"### Cost\n\nTo buy, at the spec's prices: {cost.before:,} {cost.currency} before, {cost.after:,} after"
    rows = [
        (name, f"{before:,}", f"{after:,}", *(("", "not priced") if each is None else _priced(each, after - before)))
        for name, before, after, each in cost.items
    ]
    parts = [f"{text}, **{change}**.\n"]
    if rows:
        parts.append(table(("", "before", "after", f"one, {cost.currency}", "change"), rows))
    if cost.unpriced:
        parts.append(f"Left out, as the spec states no price of it: {', '.join(cost.unpriced)}.\n")
    return "\n".join(parts)


def _priced(each: int, more: int) -> tuple[str, str]:
    return f"{each:,}", f"{each * more:+,}"


def _proof(proof: Proof | None) -> str:
    if proof is None:
        return "### Twin\n\nNo test report was given: this change is not proven on the twin.\n"
    mark = "❌" if proof.failed else "✅"
    text = (
        f"### Twin\n\n{mark} {proof.passed} tests passed, {len(proof.failed)} failed, {proof.skipped} skipped, "
        f"all of this release, {proof.release}.\n"
    )
    ran = ", ".join(f"`{code(name)}` {count}" for name, count in proof.modules[:MOST_ROWS])
    failed = "".join(f"- failed: `{code(name)}`\n" for name in proof.failed[:MOST_ROWS])
    return text + (f"\nPassed: {ran}.\n" if ran else "") + (f"\n{failed}" if failed else "")


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
    text = value.model_dump_json(exclude_defaults=True) if isinstance(value, Model) else str(value)
    return f"`{code(_cut(text, 60))}`"


def _quoted(text: str) -> str:
    """What somebody wrote, as code: it makes no link, names nobody, and ends no table."""
    return f"`{code(_cut(text, MOST_WRITTEN))}`" if text else ""


def _cut(text: str, most: int) -> str:
    return text if len(text) <= most else f"{text[: most - 1]}…"
