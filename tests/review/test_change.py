"""A change of several stacks: one comment, refused ones first, however many there are."""

from __future__ import annotations

import json
from dataclasses import replace

from platform_iac.review.cells import LIMIT
from platform_iac.review.change import Review, comment, findings
from platform_iac.review.report import Report, Verdict
from tests.review.test_review import SPEC, changed, review

REFUSAL = Verdict(rule="slurm-accounting", severity="mandatory", subject="slurm_controller", message="is off")


def of(stack: str, *verdicts: Verdict) -> Report:
    return replace(review(changed(("gpu[1-3]", "gpu[1-9]")), *verdicts), stack=stack)


def test_nothing_touched_is_said_so() -> None:
    nothing = Review(reports=(), untouched=("eagle", "falcon"))
    assert comment(nothing) == "No stack changes: `eagle`, `falcon`.\n"
    assert not nothing.failed
    assert json.loads(findings(nothing, "stacks/{}.yaml"))["runs"][0]["results"] == []


def test_a_stack_differs_when_its_hosts_get_anything_else() -> None:
    assert of("falcon").differs
    assert not review(SPEC).differs


def test_the_refused_one_comes_first_and_each_finding_is_at_its_own_spec() -> None:
    both = Review(reports=(of("eagle"), of("falcon", REFUSAL)), gone=("old",))
    text = comment(both)
    assert both.failed
    assert text.index("## `old`: its spec is removed") < text.index("## `falcon`: ❌") < text.index("## `eagle`: ✅")
    (result,) = json.loads(findings(both, "stacks/{}.yaml"))["runs"][0]["results"]
    assert result["locations"][0]["physicalLocation"]["artifactLocation"]["uri"] == "stacks/falcon.yaml"


def test_many_stacks_fit_and_each_is_named() -> None:
    names = [f"stack{number:02}" for number in range(60)]
    text = comment(Review(reports=tuple(of(name) for name in names)))
    assert len(text) <= LIMIT
    assert [name for name in names if f"## `{name}`: ✅" not in text] == []
    assert "Left out: it does not fit into a comment" in text.rpartition("## `stack59`")[2]


def test_what_a_broken_spec_says_is_quoted_and_bounded() -> None:
    broken = Review(reports=(), broken={"falcon": "a: wrong — mend it\n" * 5_000})
    text = comment(broken)
    assert broken.failed
    assert text.startswith("## `falcon`: ❌ not a spec that can be built\n\n    a: wrong")
    assert len(text) <= LIMIT
