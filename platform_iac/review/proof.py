"""The twin's proof: what a test run of this change said, read from its JUnit report."""

from __future__ import annotations

import xml.etree.ElementTree as ET
from collections import Counter
from dataclasses import dataclass
from typing import Final

PROPERTY: Final = "release"
"""What `tests/conftest.py` writes into the report: the digest of all that decides what was tested."""

NOT_PASSED: Final = ("failure", "error", "skipped")


class ProofError(ValueError):
    """The file proves nothing of this change: it is no JUnit report, or one of another release."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Proof:
    """Counts of a test run of `release`, and the names of the tests that did not pass."""

    release: str
    passed: int
    skipped: int
    failed: tuple[str, ...]
    modules: tuple[tuple[str, int], ...]
    """What ran: each module of tests and how many of its tests passed, sorted."""

    seconds: float


def read(text: str, release: str) -> Proof:
    """Return what a JUnit report of this release says: an older one proves nothing of what is reviewed.

    Raises:
        ProofError: it is none, it ran no test, or it is of another release.
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
    found = {each.get("value", "") for each in root.iter("property") if each.get("name") == PROPERTY}
    if found != {release}:
        raise ProofError(
            f"the JUnit report is of release {', '.join(sorted(found)) or 'unknown'}, this is {release} — "
            "run the tests on what is reviewed"
        )
    failed = tuple(_name(case) for case in cases if _is(case, "failure", "error"))
    skipped = sum(_is(case, "skipped") for case in cases)
    modules = Counter(case.get("classname", "") for case in cases if not _is(case, *NOT_PASSED))
    return Proof(
        release=release,
        passed=len(cases) - len(failed) - skipped,
        skipped=skipped,
        failed=failed,
        modules=tuple(sorted(modules.items())),
        seconds=sum(float(case.get("time", 0)) for case in cases),
    )


def _name(case: ET.Element) -> str:
    return f"{case.get('classname', '')}::{case.get('name', '')}"


def _is(case: ET.Element, *outcomes: str) -> bool:
    return any(case.find(outcome) is not None for outcome in outcomes)
