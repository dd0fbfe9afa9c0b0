"""The twin's proof: what a test run of this change said, read from its JUnit report."""

from __future__ import annotations

import xml.etree.ElementTree as ET
from dataclasses import dataclass


class ProofError(ValueError):
    """The file is no JUnit report."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Proof:
    """Counts of a test run, and the names of the tests that did not pass."""

    passed: int
    skipped: int
    failed: tuple[str, ...]
    seconds: float


def read(text: str) -> Proof:
    """Return what a JUnit report says.

    Raises:
        ProofError: it is none, or it ran no test.
    """
    if "<!DOCTYPE" in text:
        raise ProofError("a JUnit report has no DOCTYPE — give the file that `pytest --junitxml` wrote")
    try:
        root = ET.fromstring(text)  # noqa: S314  without a DOCTYPE there are no entities to expand
    except ET.ParseError as error:
        raise ProofError(f"no JUnit report: {error} — give the file that `pytest --junitxml` wrote") from error
    cases = list(root.iter("testcase"))
    if not cases:
        raise ProofError("the JUnit report has no test — it proves nothing")
    failed = tuple(
        f"{case.get('classname', '')}::{case.get('name', '')}"
        for case in cases
        if case.find("failure") is not None or case.find("error") is not None
    )
    skipped = sum(case.find("skipped") is not None for case in cases)
    return Proof(
        passed=len(cases) - len(failed) - skipped,
        skipped=skipped,
        failed=failed,
        seconds=sum(float(case.get("time", 0)) for case in cases),
    )
