"""A whole change: the reviews of every stack that it touches, as one comment and one SARIF file."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from platform_iac.review import sarif
from platform_iac.review.cells import LIMIT
from platform_iac.review.markdown import markdown
from platform_iac.review.report import Report


@dataclass(frozen=True, slots=True, kw_only=True)
class Review:
    """What a change does to the stacks of a repository."""

    reports: tuple[Report, ...]
    """Of stacks that differ, or that a policy refuses."""
    broken: Mapping[str, str] = field(default_factory=dict)
    """Why a stack cannot be planned, by its name."""
    gone: tuple[str, ...] = ()
    """Stacks whose spec the change removes."""
    untouched: tuple[str, ...] = ()

    @property
    def failed(self) -> bool:
        """Whether the change may not be merged."""
        unproven = any(report.proof and report.proof.failed for report in self.reports)
        return bool(self.broken) or unproven or any(report.failed for report in self.reports)


def comment(review: Review) -> str:
    """Return one comment: what is refused first, then the others, and the unchanged ones by their names.

    Each stack has an equal share of the room, and what those before it left of theirs.
    """
    parts = [f"## `{stack}`: ❌ not a spec that can be built\n\n{_quoted(why)}" for stack, why in review.broken.items()]
    parts += [
        f"## `{stack}`: its spec is removed\n\nWhat it made stays until `platform-iac down {stack}` on the base.\n"
        for stack in review.gone
    ]
    reports = sorted(review.reports, key=lambda report: (not report.failed, report.stack))
    tail = _tail(review)
    room = LIMIT - len(tail) - sum(len(part) + 1 for part in parts)
    for number, report in enumerate(reports):
        allowed = room // (len(reports) - number)
        text = markdown(report, limit=allowed)
        if len(text) > allowed:
            text = (
                f"{text.splitlines()[0]}\n\nToo long for this comment: `platform-iac review {report.stack}` has it.\n"
            )
        parts.append(text)
        room -= len(text) + 1
    return "\n".join([*parts, tail])[:LIMIT]


def findings(review: Review, file: str) -> str:
    """Return SARIF of all stacks; `file` is where a stack's spec is, with `{}` for its name."""
    found = [finding for report in review.reports for finding in sarif.of(report, file.format(report.stack))]
    found += [("spec", "error", why, file.format(stack)) for stack, why in review.broken.items()]
    return sarif.document(found)


def _tail(review: Review) -> str:
    touched: Sequence[str] = (*review.broken, *review.gone, *(report.stack for report in review.reports))
    others = ", ".join(f"`{stack}`" for stack in review.untouched)
    if not touched:
        return f"No stack changes: {others or 'there is none'}.\n"
    return f"Unchanged: {others}.\n" if others else ""


def _quoted(text: str) -> str:
    return "".join(f"    {line}\n" for line in text[: LIMIT // 4].splitlines())
