"""SARIF 2.1.0: findings that forges show beside the lines of a pull request."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Sequence

    from platform_iac.review.report import Report, Verdict

SCHEMA = "https://docs.oasis-open.org/sarif/sarif/v2.1.0/errata01/os/schemas/sarif-schema-2.1.0.json"


def sarif(report: Report, spec_file: str) -> str:
    """Return a review's verdicts as SARIF; each is placed at the spec's file (relative to the repository)."""
    return _text([(*_verdict(verdict), spec_file) for verdict in report.verdicts])


def text(findings: Sequence[tuple[str, str, str]]) -> str:
    """Return findings (rule, message, file relative to the repository) as SARIF errors."""
    return _text([(rule, "error", message, file) for rule, message, file in findings])


def _text(findings: Sequence[tuple[str, str, str, str]]) -> str:
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
