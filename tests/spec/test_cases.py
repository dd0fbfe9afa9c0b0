"""Every `cases/*.yaml` is refused with exactly the text beside it.

After a change of wording: `UPDATE_CASES=1 pytest tests/spec/test_cases.py`, then read the diff.
"""

from __future__ import annotations

import os
import re
from pathlib import Path

import pytest

from platform_iac.spec.errors import SpecError
from platform_iac.spec.load import load

CASES = Path(__file__).parent / "cases"
NAMES = sorted(path.stem for path in CASES.glob("*.yaml") if not path.stem.startswith("_"))


@pytest.fixture(autouse=True)
def _here(monkeypatch: pytest.MonkeyPatch) -> None:
    """Errors name files from the working directory."""
    monkeypatch.chdir(CASES)


def refusal(name: str) -> SpecError:
    with pytest.raises(SpecError) as caught:
        load(CASES / f"{name}.yaml")
    return caught.value


@pytest.mark.parametrize("name", NAMES)
def test_a_bad_spec_is_refused_with_the_text_beside_it(name: str) -> None:
    expected = CASES / f"{name}.txt"
    text = str(refusal(name)).replace(f"{CASES}", "CASES") + "\n"
    if os.environ.get("UPDATE_CASES"):
        expected.write_text(text, encoding="utf-8")
    assert text == expected.read_text(encoding="utf-8")


@pytest.mark.parametrize("name", NAMES)
def test_every_problem_has_a_place_and_says_what_to_do(name: str) -> None:
    for problem in refusal(name).problems:
        assert problem.mark is not None
        assert " — " in problem.message
        assert re.search(r"\.yaml:\d+:\d+", str(problem))


def test_every_expected_text_has_its_case() -> None:
    assert sorted(path.stem for path in CASES.glob("*.txt")) == NAMES
