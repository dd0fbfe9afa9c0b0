"""Everything a review says, put together once: what Markdown and SARIF are both made from."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from platform_iac.review.capacity import capacity
from platform_iac.review.cost import Cost, cost
from platform_iac.review.delta import EMPTY, Delta, Side, delta
from platform_iac.spec.base import Impact, worst
from platform_iac.spec.changes import Change, changes

if TYPE_CHECKING:
    from platform_iac.review.proof import Proof
    from platform_iac.spec.model import Platform


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """What one policy rule says about one thing of the head's plan."""

    rule: str
    severity: Literal["mandatory", "advisory"]
    subject: str
    message: str
    todo: str = ""
    judged: bool = True
    """False where the rule could not judge: for a mandatory rule that fails too."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Setting:
    """What a stack has, or had, otherwise than a policy rule's own: its `severity`, or a setting by its name."""

    rule: str
    what: str
    default: str
    before: str
    after: str
    because: str
    new: bool
    """Whether the change makes it so, also where only the reason is another; it may make it the rule's own again."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Approval:
    """A named person's consent to a change, told by its digest."""

    change: str
    by: str
    why: str
    opens: tuple[str, ...]
    """Rules that would speak without it; none where it is for another change."""
    what: Literal["kept", "added", "removed"]
    """Against the base."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SpecChange:
    """A changed field of the spec, and how many hosts of its pool it concerns; 0 where no single pool is meant."""

    change: Change
    hosts: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """A review of one stack between two commits."""

    stack: str
    base: str
    head: str
    changes: tuple[SpecChange, ...]
    delta: Delta
    capacity: tuple[tuple[str, int, int], ...]
    """Name, before and after; only what differs."""
    cost: Cost | None
    """None where the spec states no prices."""
    verdicts: tuple[Verdict, ...]
    rules: int
    """How many policy rules were asked."""
    proof: Proof | None
    settings: tuple[Setting, ...] = ()
    """What the stack changes of the rules, at base or head."""
    approvals: tuple[Approval, ...] = ()
    """Those that are used, and those that come or go."""
    told: bool = True
    """Whether the specs could be compared, or there was none before."""
    notes: tuple[str, ...] = ()
    """What the reader must know about the review itself."""

    @property
    def unlike(self) -> bool:
        """Whether the change is one of settings or approvals, too."""
        return any(setting.new for setting in self.settings) or any(each.what != "kept" for each in self.approvals)

    @property
    def impact(self) -> Impact:
        """The gravest thing that a change of the spec does."""
        return worst([found.change.impact for found in self.changes])

    @property
    def differs(self) -> bool:
        """Whether the change does anything to this stack."""
        found = self.delta
        made = self.changes or found.runs or found.added or found.removed or self.capacity or self.notes
        return bool(made) or self.unlike

    @property
    def failed(self) -> tuple[Verdict, ...]:
        """The verdicts that refuse the change."""
        return tuple(verdict for verdict in self.verdicts if verdict.severity == "mandatory")


def make(
    stack: str,
    refs: tuple[str, str],
    specs: tuple[Platform | None, Platform],
    sides: tuple[Side | None, Side],
    *,
    verdicts: tuple[Verdict, ...],
    rules: int,
    proof: Proof | None,
    settings: tuple[Setting, ...] = (),
    approvals: tuple[Approval, ...] = (),
    told: bool = True,
    notes: tuple[str, ...] = (),
) -> Report:
    """Return the report; `refs`, `specs` and `sides` are base and head.

    A stack that is new has no base spec and no base side; one that could not be planned has no base side.
    """
    old, new = specs
    base, head = sides[0] or EMPTY, sides[1]
    before, after = capacity(base.plan), capacity(head.plan)
    names = [*after, *(name for name in before if name not in after)]
    return Report(
        stack=stack,
        base=refs[0],
        head=refs[1],
        changes=tuple(_with_hosts(change, old, new) for change in changes(old, new)) if old else (),
        delta=delta(base, head),
        capacity=tuple(
            (name, before.get(name, 0), after.get(name, 0))
            for name in names
            if before.get(name, 0) != after.get(name, 0)
        ),
        cost=cost((old if sides[0] else None, new), (base.plan, head.plan)),
        verdicts=verdicts,
        rules=rules,
        proof=proof,
        settings=settings,
        approvals=approvals,
        told=told,
        notes=notes,
    )


def _with_hosts(change: Change, old: Platform, new: Platform) -> SpecChange:
    pools = change.path[1] if len(change.path) > 1 and change.path[0] == "pools" else None
    pool = old.pools.get(str(pools)) or new.pools.get(str(pools))
    return SpecChange(change=change, hosts=len(pool.names) if pool else 0)
