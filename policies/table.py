"""`python -m policies.table`: write the rules into docs/policies.md, between its two marks."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Final

from policies.rules import all_rules

if TYPE_CHECKING:
    from policies.rule import Rule

PAGE: Final = Path(__file__).resolve().parents[1] / "docs" / "policies.md"
BEGIN: Final = "<!-- rules: written by `python -m policies.table` -->\n"
END: Final = "<!-- end of rules -->\n"


def table() -> str:
    """Return every rule as Markdown, a table for each subject."""
    rules = all_rules()
    subjects = dict.fromkeys(rule.subject for rule in rules)
    return "\n".join(_subject(subject, [rule for rule in rules if rule.subject == subject]) for subject in subjects)


def _subject(subject: str, rules: list[Rule]) -> str:
    rows = [
        f"| `{rule.id}` | {rule.severity} | {rule.why} {rule.do} | {rule.reference or '—'} | {_settings(rule)} |"
        for rule in rules
    ]
    head = ["| rule | severity | why, and what to do | reference | settings |", "|---|---|---|---|---|"]
    return "\n".join([f"### {subject}", "", *head, *rows, ""])


def _settings(rule: Rule) -> str:
    return ", ".join(f"`{name}`: {value!r}" for name, value in rule.settings.items()) or "—"


def page(text: str) -> str:
    """Return the page with the table of today between its marks."""
    before, _, rest = text.partition(BEGIN)
    _, _, after = rest.partition(END)
    return f"{before}{BEGIN}\n{table()}\n{END}{after}"


if __name__ == "__main__":
    PAGE.write_text(page(PAGE.read_text(encoding="utf-8")), encoding="utf-8")
