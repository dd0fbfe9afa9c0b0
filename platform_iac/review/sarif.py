"""SARIF 2.1.0: findings that forges show beside the lines of a pull request."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Sequence

    from platform_iac.review.report import Report, Verdict

Finding = tuple[str, str, str, str]
"""Rule, level (`error`, `warning`), message, and a file relative to the repository."""

SCHEMA = "https://docs.oasis-open.org/sarif/sarif/v2.1.0/errata01/os/schemas/sarif-schema-2.1.0.json"


def sarif(report: Report, spec_file: str) -> str:
    """Return a review's verdicts as SARIF; each is placed at the spec's file (relative to the repository)."""
    return document(of(report, spec_file))


def text(findings: Sequence[tuple[str, str, str]]) -> str:
    """Return findings (rule, message, file relative to the repository) as SARIF errors."""
    return document([(rule, "error", message, file) for rule, message, file in findings])


def of(report: Report, spec_file: str) -> list[Finding]:
    """Return a review's verdicts as findings, each placed at the spec's file."""
    return [(*_verdict(verdict), spec_file) for verdict in report.verdicts]


def document(findings: Sequence[Finding]) -> str:
    """Return SARIF of findings: rule, level, message, and the file they are shown at."""
    rules = sorted({rule for rule, *_ in findings})
    run: dict[str, Any] = {
        "tool": {"driver": {"name": "platform-iac", "rules": [{"id": rule} for rule in rules]}},
        "results": [
            {
                "ruleId": rule,
                "ruleIndex": rules.index(rule),
                "level": level,
                "message": {"text": message},
                "locations": [{"physicalLocation": {"artifactLocation": {"uri": file}, "region": {"startLine": 1}}}],
            }
            for rule, level, message, file in findings
        ],
    }
    return json.dumps({"$schema": SCHEMA, "version": "2.1.0", "runs": [run]}, indent=2, ensure_ascii=False) + "\n"


def _verdict(verdict: Verdict) -> tuple[str, str, str]:
    said = verdict.message if verdict.judged else f"could not judge: {verdict.message}"
    todo = f" — {verdict.todo}" if verdict.todo else ""
    return verdict.rule, "error" if verdict.severity == "mandatory" else "warning", f"{verdict.subject}: {said}{todo}"
