"""The plan of every stack is what the golden files say."""

from __future__ import annotations

import difflib

import pytest

from platform_iac.spec.load import stacks
from tests.plan import golden


@pytest.mark.parametrize("stack", stacks())
def test_the_plan_of_a_stack_is_the_golden_one(stack: str) -> None:
    path = golden.path(stack)
    known = path.read_text(encoding="utf-8") if path.exists() else ""
    diff = list(
        difflib.unified_diff(known.splitlines(), golden.text(stack).splitlines(), "golden", "plan", lineterm="", n=1)
    )
    assert not diff, "\n".join([*diff[:80], "If this is meant: python -m tests.plan.golden"])


def test_no_golden_plan_is_left_over() -> None:
    assert {path.stem for path in golden.FOLDER.glob("*.json")} == set(stacks())
