"""A change of several stacks: one comment, refused ones first, however many there are."""

from __future__ import annotations

import json
import os
from dataclasses import replace
from pathlib import Path

from platform_iac.review.cells import LIMIT
from platform_iac.review.change import Review, comment, findings
from platform_iac.review.report import Approval, Report, Setting, Verdict
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


OFF = Setting(
    rule="slurm-accounting", what="severity", default="mandatory", before="mandatory", after="off",
    because="a | trial by `@everybody`\n<b>", new=True,
)  # fmt: skip
CONSENT = Approval(
    change="aaaabbbbccccdddd", by="Ada <ada@example.net>", why="a trial", opens=("impact-drain",), what="added"
)


def unlike(*settings: Setting, approvals: tuple[Approval, ...] = ()) -> Report:
    return replace(review(SPEC), settings=settings, approvals=approvals)


def test_a_change_of_settings_alone_is_the_golden_one() -> None:
    """`UPDATE_CASES=1 pytest tests/review` writes it anew after a change that is meant."""
    older = Setting(
        rule="slurm-headroom", what="percent", default="2", before="5", after="5", because="it has swap", new=False
    )
    made = Review(reports=(unlike(older, OFF),), untouched=("eagle",))
    found = comment(made)
    path = Path(__file__).parent / "golden" / "settings.md"
    if os.environ.get("UPDATE_CASES"):
        path.write_text(found, encoding="utf-8")
    assert found == path.read_text(encoding="utf-8")


def test_a_stack_differs_by_settings_and_by_approvals_that_come_or_go() -> None:
    assert unlike(OFF).differs
    assert not unlike(replace(OFF, new=False)).differs
    assert unlike(approvals=(replace(CONSENT, what="removed", opens=()),)).differs
    assert not unlike(approvals=(replace(CONSENT, what="kept"),)).differs


def test_the_heading_says_that_rules_or_an_approval_let_it_through() -> None:
    heads = [
        comment(Review(reports=(report,))).splitlines()[0].partition(": ")[2]
        for report in (unlike(OFF), unlike(replace(OFF, new=False)), unlike(approvals=(CONSENT,)))
    ]
    assert heads == [
        "✅ no policy refuses it, ⚠️ rules are set otherwise",
        "✅ no policy refuses it",
        "✅ no policy refuses it, ⚠️ by an approval",
    ]


def test_an_approval_is_told_with_who_gave_it_and_what_it_opens() -> None:
    other = replace(CONSENT, change="ddddccccbbbbaaaa", opens=(), why="|`[a](b)")
    text = comment(Review(reports=(unlike(approvals=(other, CONSENT)),)))
    assert "1 used: without it these rules would speak." in text
    used = "| added | `aaaabbbbccccdddd` | `impact-drain` | `Ada <ada@example.net>` | `a trial` |\n"
    assert used + "| added | `ddddccccbbbbaaaa` |  | `Ada <ada@example.net>` | `\\|'[a](b)` |\n" in text
    assert "None is of this change." in comment(Review(reports=(unlike(approvals=(other,)),)))


def test_many_settings_and_approvals_fit() -> None:
    many = tuple(replace(OFF, rule=f"rule-{number}", because="|" * 9_000) for number in range(200))
    consents = tuple(replace(CONSENT, why=f"{number}" + "`<>" * 9_000) for number in range(200))
    text = comment(Review(reports=(unlike(*many, approvals=consents),)))
    assert len(text) <= LIMIT
    assert "140 more." in text
    assert "200 otherwise than the rules' own at base or head, 200 by this change." in text


def test_many_stacks_fit_and_each_is_named() -> None:
    names = [f"stack{number:02}" for number in range(60)]
    text = comment(Review(reports=tuple(of(name) for name in names)))
    assert len(text) <= LIMIT
    assert [name for name in names if f"## `{name}`: ✅" not in text] == []
    assert text.count("### What `up` does") == 60, "each stack has its share"
    assert "### Policies\n\nLeft out: it does not fit into a comment" in text.rpartition("## `stack00`")[2]


def test_more_stacks_than_fit_are_cut_to_their_headings() -> None:
    one = of("falcon")
    text = comment(Review(reports=tuple(replace(one, stack=f"stack{number:03}") for number in range(150))))
    assert len(text) <= LIMIT
    assert "## `stack000`: ✅ no policy refuses it\n\nToo long for this comment: `platform-iac review stack000`" in text
    assert "## `stack149`: ✅" in text


def test_what_a_broken_spec_says_is_quoted_and_bounded() -> None:
    broken = Review(reports=(), broken={"falcon": "a: wrong — mend it\n" * 5_000})
    text = comment(broken)
    assert broken.failed
    assert text.startswith("## `falcon`: ❌ not a spec that can be built\n\n    a: wrong")
    assert len(text) <= LIMIT
