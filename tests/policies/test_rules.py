"""Every rule lets the good pass, refuses the bad, and is not evaded by another spelling."""

from __future__ import annotations

import inspect
import re

import pytest

from policies.rules import all_rules
from tests.policies.cases import KINDS, Case, cases

RULES = all_rules()
CASES = list(cases())


@pytest.mark.parametrize(
    "case", CASES, ids=lambda case: f"{case.rule}-{case.kind}-{str(case.data.get('case', case.says))[:40]}"
)
def test_a_case_is_judged_as_it_says(case: Case) -> None:
    said = [str(verdict) for verdict in case.report(RULES).verdicts]
    if case.kind == "passes":
        assert not said
    else:
        assert case.says, "a case that must not pass says what is said of it"
        assert any(case.says in each for each in said), said or "it passed"


def test_every_rule_has_cases_of_each_kind_and_every_case_a_rule() -> None:
    there = {(case.rule, case.kind) for case in CASES}
    missing = [f"{rule.id}: {kind}" for rule in RULES for kind in KINDS if (rule.id, kind) not in there]
    assert not missing
    assert {rule for rule, _ in there} <= {rule.id for rule in RULES}


def test_a_rule_is_named_after_its_module_and_judges_in_one_way() -> None:
    for rule in RULES:
        function = rule.each or rule.whole
        assert function is not None
        assert (rule.each is None) != (rule.whole is None), rule.id
        assert re.fullmatch(r"[a-z]+(-[a-z0-9]+)+", rule.id)
        assert inspect.getmodule(function).__name__ == f"policies.rules.{rule.subject}", rule.id  # type: ignore[union-attr]
    assert len({rule.id for rule in RULES}) == len(RULES)


def test_a_rule_says_why_and_what_to_do_in_sentences() -> None:
    for rule in RULES:
        assert re.fullmatch(r"[A-Za-z].*\.", rule.why), rule.id
        assert re.fullmatch(r"[A-Z].*\.", rule.do), rule.id


def test_there_are_forty_rules_and_more() -> None:
    assert len(RULES) >= 40
