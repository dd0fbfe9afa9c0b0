"""The verdicts as SARIF 2.1.0, which forges show beside the lines of a pull request."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from platform_iac.review.report import Report, Verdict

SCHEMA = "https://docs.oasis-open.org/sarif/sarif/v2.1.0/errata01/os/schemas/sarif-schema-2.1.0.json"


def sarif(report: Report, spec_file: str) -> str:
    """Return the report's verdicts as SARIF text; each is placed at the spec's file (relative to the repository)."""
    rules = sorted({verdict.rule for verdict in report.verdicts})
    run: dict[str, Any] = {
        "tool": {"driver": {"name": "platform-iac", "rules": [{"id": rule} for rule in rules]}},
        "results": [_result(verdict, rules.index(verdict.rule), spec_file) for verdict in report.verdicts],
    }
    return json.dumps({"$schema": SCHEMA, "version": "2.1.0", "runs": [run]}, indent=2, ensure_ascii=False) + "\n"


def _result(verdict: Verdict, index: int, spec_file: str) -> dict[str, Any]:
    said = verdict.message if verdict.judged else f"could not judge: {verdict.message}"
    return {
        "ruleId": verdict.rule,
        "ruleIndex": index,
        "level": "error" if verdict.severity == "mandatory" else "warning",
        "message": {"text": f"{verdict.subject}: {said}" + (f" — {verdict.todo}" if verdict.todo else "")},
        "locations": [{"physicalLocation": {"artifactLocation": {"uri": spec_file}, "region": {"startLine": 1}}}],
    }
