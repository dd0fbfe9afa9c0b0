"""Resources in, a report out. Pure: no engine, no host, no clock, no credentials."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass, replace
from typing import Any, Literal

from policies.config import Config, Difference
from policies.facts import Approval, Facts
from policies.rule import Context, Rule, Severity
from policies.target import Stack, Target
from policies.values import UnjudgedError

Kind = Literal["violation", "could not judge"]
WHOLE = "stack"


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """One thing that is wrong, or that a rule could not tell. `where` is a resource's name, or `stack`."""

    kind: Kind
    rule: Rule
    severity: Severity
    where: str
    message: str

    @property
    def refuses(self) -> bool:
        """Whether it stops a change: what a mandatory rule could not judge does, as a violation does."""
        return self.severity == "mandatory"

    def __str__(self) -> str:
        head = f"{self.severity} {self.rule.id}: {self.where}: "
        return head + (self.message if self.kind == "violation" else f"could not judge: {self.message}")

    def data(self) -> dict[str, Any]:
        """Return it as plain JSON values."""
        return {
            "kind": self.kind,
            "rule": self.rule.id,
            "severity": self.severity,
            "where": self.where,
            "message": self.message,
            "do": self.rule.do,
            "reference": self.rule.reference,
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class Used:
    """An approval, and the rules that would have spoken without it."""

    approval: Approval
    rules: tuple[str, ...]

    def data(self) -> dict[str, Any]:
        """Return it as plain JSON values."""
        return {**asdict(self.approval), "rules": list(self.rules)}


@dataclass(frozen=True, slots=True)
class Report:
    """Every verdict, the refusing ones first, in the rules' order; and what kept rules from saying more.

    `changed` is every severity and setting that is not the rule's own, `approved` every approval that was used.
    """

    verdicts: tuple[Verdict, ...]
    judged: int
    changed: tuple[Difference, ...] = ()
    approved: tuple[Used, ...] = ()

    @property
    def off(self) -> tuple[tuple[str, str], ...]:
        """The rules that were switched off, each with the reason."""
        return tuple((each.rule, each.because) for each in self.changed if each.off)

    @property
    def refused(self) -> bool:
        """Whether the change must not go on."""
        return any(verdict.refuses for verdict in self.verdicts)

    def data(self) -> dict[str, Any]:
        """Return it as plain JSON values."""
        return {
            "refused": self.refused,
            "rules": self.judged,
            "verdicts": [verdict.data() for verdict in self.verdicts],
            "off": [{"rule": rule, "because": because} for rule, because in self.off],
            "changed": [each.data() for each in self.changed],
            "approved": [each.data() for each in self.approved],
        }


def judge(targets: Iterable[Target], rules: Iterable[Rule], config: Config, facts: Facts) -> Report:
    """Return what every rule says of these resources: the same input gives the same report."""
    stack, rules = Stack(tuple(targets)), tuple(rules)
    asked = [rule for rule in rules if config.severity(rule) != "off"]
    alone = replace(facts, approvals=())
    found: list[Verdict] = []
    opened: list[str] = []
    for rule in asked:
        said = whole(rule, stack, config, facts)
        if facts.approved and said != whole(rule, stack, config, alone):
            opened.append(rule.id)
        found += said
        for target in stack.targets:
            found += one(rule, target, config, facts)
    return Report(
        tuple(sorted(found, key=lambda verdict: not verdict.refuses)),
        len(asked),
        config.differences(rules),
        tuple(Used(approval=each, rules=tuple(opened)) for each in facts.approved) if opened else (),
    )


def one(rule: Rule, target: Target, config: Config, facts: Facts) -> list[Verdict]:
    """Return what a rule says of one resource; nothing where it is none of its."""
    if rule.each is None:
        return []
    each = rule.each

    def said() -> Iterator[str]:
        if rule.judges(target):
            yield from each(target, Context(config.of(rule), facts))

    return _verdicts(rule, config, target.name, said())


def whole(rule: Rule, stack: Stack, config: Config, facts: Facts) -> list[Verdict]:
    """Return what a rule says of all resources together."""
    if rule.whole is None:
        return []
    return _verdicts(rule, config, WHOLE, rule.whole(stack, Context(config.of(rule), facts)))


def _verdicts(rule: Rule, config: Config, where: str, said: Iterator[str]) -> list[Verdict]:
    """Run a rule to its end: what it found before it met an unknown value stays found."""
    found: list[Verdict] = []

    def add(kind: Kind, message: str) -> None:
        found.append(Verdict(kind=kind, rule=rule, severity=config.severity(rule), where=where, message=message))

    try:
        for message in said:
            add("violation", message)
    except UnjudgedError as error:
        add("could not judge", str(error))
    return found
