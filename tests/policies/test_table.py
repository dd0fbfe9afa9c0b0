"""docs/policies.md lists the rules there are."""

from __future__ import annotations

from policies.table import PAGE, page


def test_the_page_lists_the_rules_of_today() -> None:
    text = PAGE.read_text(encoding="utf-8")
    assert page(text) == text, "run `python -m policies.table`"
