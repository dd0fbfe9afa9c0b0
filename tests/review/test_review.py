"""A review of two specs: which hosts are touched, why, and what fits into a comment."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from platform_iac.plan import export
from platform_iac.plan.make import make
from platform_iac.promotion import release
from platform_iac.review import proof, report
from platform_iac.review.delta import Delta, FileChange, RunChange, Side, delta
from platform_iac.review.markdown import LIMIT, markdown
from platform_iac.review.report import Report, Verdict
from platform_iac.review.sarif import sarif
from platform_iac.spec.load import loads

TOP = Path(__file__).resolve().parents[2]
SPEC = """\
apiVersion: platform-iac/v1
name: falcon
sites: {dc: {kind: onprem, domain: a.b, network: 10.0.0.0/16, access: {ssh_config: /etc/a, known_hosts: /etc/b}}}
pools:
  ctl: {site: dc, duty: controller, hosts: ctl01, addresses: 10.0.0.1}
  login: {site: dc, duty: login, hosts: login01, addresses: 10.0.0.2}
  gpu: {site: dc, duty: compute, hosts: "gpu[1-3]", addresses: 10.0.1.1, hardware: dgx-h100}
scheduler: {kind: slurm, partitions: {gpu: {pools: [gpu], default: true, max_time: 7-00:00:00}}}
teams: {vision: {share: 3, members: {alice: {uid: 20001}}}}
"""


def side(text: str, **digests: str) -> Side:
    plan = make(loads(text))
    return Side(plan=export.value(plan), digests={run.role: "same" for run in plan.runs} | digests)


def changed(*replacements: tuple[str, str]) -> str:
    text = SPEC
    for old, new in replacements:
        assert old in text
        text = text.replace(old, new)
    return text


def differs(*replacements: tuple[str, str]) -> Delta:
    return delta(side(SPEC), side(changed(*replacements)))


def review(text: str, *verdicts: Verdict, base: str | None = SPEC) -> Report:
    empty = Side(plan={"hosts": [], "runs": [], "checks": []}, digests={})
    return report.make(
        "falcon",
        ("main", "change"),
        (loads(base) if base else None, loads(text)),
        (side(base) if base else empty, side(text)),
        verdicts=verdicts,
        rules=len(verdicts),
        proof=None,
    )


def test_equal_sides_touch_nothing() -> None:
    found = differs()
    assert found.runs == ()
    assert found.touched == ()
    assert found.resources["same"] == len(make(loads(SPEC)).runs)


def test_one_more_node_touches_it_and_the_files_that_name_it() -> None:
    found = differs(("gpu[1-3]", "gpu[1-4]"))
    assert found.added == ("gpu4",)
    assert found.touched == ("ctl01", "gpu4", "login01")
    by_run = {run.run: run for run in found.runs}
    assert by_run["base"].hosts == ("gpu4",)
    assert by_run["slurm_controller"].restarts == ("slurmctld.service",)
    assert {file.path for file in by_run["slurm_login"].files} == {"/etc/slurm/slurm.conf"}


def test_a_host_that_leaves_makes_no_login_to_it() -> None:
    found = differs(("gpu[1-3]", "gpu[1-2]"))
    assert found.removed == ("gpu3",)
    assert "gpu3" not in found.touched


def test_a_changed_role_touches_all_of_its_hosts_and_says_so() -> None:
    found = delta(side(SPEC), side(SPEC, munge="other"))
    (run,) = found.runs
    assert (run.run, run.parts, run.files) == ("munge", ("role",), ())
    assert len(run.hosts) == 5


def test_a_run_that_is_gone_is_a_deleted_resource() -> None:
    without = SPEC.replace(SPEC.splitlines()[-2] + "\n", "")
    found = delta(side(SPEC), side(without))
    assert {run.what for run in found.runs} >= {"removed"}
    assert found.resources["delete"] == sum(run.what == "removed" for run in found.runs)


def test_the_comment_says_fields_impact_hosts_files_and_capacity() -> None:
    text = markdown(review(changed(("gpu[1-3]", "gpu[1-4]"), ("7-00:00:00", "2-00:00:00"), ("share: 3", "share: 5"))))
    assert "| `pools.gpu.hosts` | `gpu[1-3]` | `gpu[1-4]` | **none** | 3 |" in text
    assert "| `teams.vision.share` | `3` | `5` | **reconfigure** |  |" in text
    assert "3 hosts touched (ctl01,gpu4,login01); 1 host added" in text
    assert "| GPU h100 | 24 | 32 | +8 |" in text
    assert text.count("<code>/etc/slurm/slurm.conf</code> changed on ctl01,login01") == 1, "one text, one diff"
    assert "+PartitionName=gpu Nodes=gpu[1-4] Default=YES MaxTime=2-00:00:00" in text


def test_the_same_change_gives_the_same_comment() -> None:
    text = changed(("gpu[1-3]", "gpu[1-9]"))
    assert markdown(review(text)) == markdown(review(text))


def test_a_new_stack_is_all_added() -> None:
    text = markdown(review(SPEC, base=None))
    assert "5 hosts added" in text
    assert "| `munge` | added |" in text


def test_a_huge_change_fits_and_counts_what_is_left_out() -> None:
    many = "".join(
        f"  t{number:03}: {{share: {number + 1}, members: {{u{number:03}: {{uid: {21000 + number}, authorized_keys: "
        f"[ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIHhYdgzGF8ktmxaE2gYWNhWkG0sTcMpMTkKTFUnOCQFm]}}}}}}\n"
        for number in range(400)
    )
    grown = SPEC.replace("teams: {vision: {share: 3, members: {alice: {uid: 20001}}}}\n", f"teams:\n{many}")
    refusal = Verdict(rule="slurm-accounting", severity="mandatory", subject="slurm_database", message="is off")
    text = markdown(replace(review(grown, refusal), proof=proof.read(JUNIT, "0123abcd")))
    assert 30_000 < len(text) <= LIMIT
    assert "more files change" in text
    assert text.startswith("## `falcon`: ❌ refused by policy")
    assert "| ❌ | `slurm-accounting` | `slurm_database` | is off |" in text
    assert "- failed: `tests.a::y`" in text


def test_many_long_verdicts_leave_no_room_for_the_rest_and_all_are_there() -> None:
    many = tuple(
        Verdict(rule=f"rule-{number:02}", severity="mandatory", subject="s" * 500, message="m" * 5_000)
        for number in range(60)
    )
    made = review(changed(("gpu[1-3]", "gpu[1-4]")), *many)
    file = FileChange(run="r", path="/etc/" + "p" * 200, hosts=("h",), what="changed")
    runs = tuple(RunChange(run=f"r{number}", what="changed", hosts=("h",), files=(file,) * 8) for number in range(60))
    text = markdown(replace(made, delta=replace(made.delta, runs=runs)))
    assert len(text) <= LIMIT
    assert all(f"`rule-{number:02}`" in text for number in range(60))
    assert "### What `up` does\n\nLeft out: it does not fit into a comment." in text
    assert "| GPU h100 | 24 | 32 | +8 |" in text


def test_text_of_a_file_cannot_leave_its_fence() -> None:
    made = review(changed(("7-00:00:00", "2-00:00:00")))
    (run,) = [run for run in made.delta.runs if run.run == "slurm_login"]
    evil = replace(run.files[0], before="", after="```\n</details><script>alert(1)</script>\n````")
    text = markdown(replace(made, delta=replace(made.delta, runs=(replace(run, files=(evil,)),))))
    assert "\n`````diff\n" in text
    assert text.count("\n`````\n") == 1


def test_a_mandatory_verdict_refuses_and_comes_first() -> None:
    refusal = Verdict(rule="slurm-accounting", severity="mandatory", subject="slurm_controller", message="off | none")
    advice = Verdict(rule="hosts-time", severity="advisory", subject="base", message="one server", todo="name two")
    made = review(SPEC, refusal, advice)
    text = markdown(made)
    assert text.startswith("## `falcon`: ❌ refused by policy")
    assert "2 rules asked, 1 refuse, 1 advise." in text
    assert "off \\| none" in text
    results = json.loads(sarif(made, "stacks/falcon.yaml"))["runs"][0]["results"]
    assert [result["level"] for result in results] == ["error", "warning"]
    assert results[1]["message"]["text"] == "base: one server — name two"


def test_a_rule_that_could_not_judge_says_so() -> None:
    unknown = Verdict(rule="aws-imds", severity="mandatory", subject="vm", message="the input is unknown", judged=False)
    assert "could not judge: the input is unknown" in markdown(review(SPEC, unknown))


JUNIT = (
    '<testsuites><testsuite><properties><property name="release" value="0123abcd"/></properties>'
    '<testcase classname="tests.a" name="x" time="1.5"/><testcase classname="tests.b" name="z"><skipped/></testcase>'
    '<testcase classname="tests.a" name="y" time="0.5"><failure/></testcase></testsuite></testsuites>'
)


def test_the_proof_is_read_from_a_junit_report() -> None:
    found = proof.read(JUNIT, "0123abcd")
    assert (found.passed, found.skipped, found.failed, found.seconds) == (1, 1, ("tests.a::y",), 2.0)
    assert found.modules == (("tests.a", 1),)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("<testsuites/>", "proves nothing"),
        ("not xml", "no JUnit report"),
        ('<!DOCTYPE a [<!ENTITY b "c">]><a/>', "no DOCTYPE"),
        (JUNIT.replace("0123abcd", "older"), "of release older, this is 0123abcd"),
        (JUNIT.replace('name="release"', 'name="other"'), "of release unknown, this is 0123abcd"),
        (JUNIT.replace("</properties>", '<property name="release" value="x"/></properties>'), "of release 0123abcd, x"),
    ],
)
def test_what_proves_nothing_is_refused(text: str, reason: str) -> None:
    with pytest.raises(proof.ProofError, match=reason):
        proof.read(text, "0123abcd")


def test_a_report_of_this_suite_says_what_it_is_of(tmp_path: Path) -> None:
    written = tmp_path / "report.xml"
    test = "tests/review/test_review.py::test_equal_sides_touch_nothing"
    argv = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", test, "--junitxml", str(written)]
    done = subprocess.run(argv, cwd=TOP, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stdout
    assert proof.read(written.read_text(), release.digest(TOP)).passed == 1


PRICES = """\
prices: {currency: EUR, machines: {dgx-h100: 350000, cpu-server: 12000}}
"""


def test_the_comment_says_what_a_change_costs_at_the_prices_of_the_head() -> None:
    base = SPEC + PRICES.replace("350000", "999")
    text = markdown(review(changed(("gpu[1-3]", "gpu[1-4]")) + PRICES, base=base))
    assert "To buy, at the spec's prices: 1,074,000 EUR before, 1,424,000 after, **+350,000**." in text
    assert "| dgx-h100 | 3 | 4 | 350,000 | +350,000 |" in text
    assert "Left out" not in text


def test_what_has_no_price_is_named_and_in_no_sum() -> None:
    priceless = PRICES.replace("dgx-h100: 350000, ", "")
    text = markdown(review(changed(("gpu[1-3]", "gpu[1-4]")) + priceless, base=SPEC + priceless))
    assert "24,000 EUR before, 24,000 after, **no change**" in text
    assert "| dgx-h100 | 3 | 4 |  | not priced |" in text
    assert "Left out, as the spec states no price of it: dgx-h100." in text


def test_a_spec_without_prices_says_so() -> None:
    assert "The spec states no `prices`: what this costs to buy is not told." in markdown(review(SPEC))


@pytest.mark.parametrize("name", ["review.md", "review.sarif"])
def test_a_review_is_the_golden_one(name: str) -> None:
    """`UPDATE_CASES=1 pytest tests/review` writes both anew after a change that is meant."""
    refusal = Verdict(
        rule="impact-drain", severity="mandatory", subject="stack", message="would drain", todo="Split it."
    )
    advice = Verdict(rule="hosts-journal", severity="advisory", subject="base", message="not persistent")
    text = changed(("gpu[1-3]", "gpu[1-4]"), ("7-00:00:00", "2-00:00:00"), ("share: 3", "share: 5"))
    made = review(text + PRICES, refusal, advice, base=SPEC + PRICES)
    made = replace(made, proof=proof.read(JUNIT, "0123abcd"), notes=("A note.",))
    found = markdown(made) if name == "review.md" else sarif(made, "stacks/falcon.yaml")
    path = Path(__file__).parent / "golden" / name
    if os.environ.get("UPDATE_CASES"):
        path.parent.mkdir(exist_ok=True)
        path.write_text(found, encoding="utf-8")
    assert found == path.read_text(encoding="utf-8")
