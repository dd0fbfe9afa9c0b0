"""Gates of a promotion: which are shut, and what the sentence says to do."""

from __future__ import annotations

from pathlib import Path

import pytest

from platform_iac.promotion import gates, release
from platform_iac.promotion.evidence import Entry
from platform_iac.spec.load import load, loads

SPEC = """\
apiVersion: platform-iac/v1
name: {name}
environment: {name}
promotion: {{after: staging, may_differ: [name, "pools.*.hosts", "sites.*.network"]}}
sites: {{dc: {{kind: lab, domain: a.b, network: 10.0.{number}.0/24}}}}
pools: {{gpu: {{site: dc, duty: compute, hosts: "gpu[1-{nodes}]", addresses: 10.0.{number}.9, hardware: dgx-h100}}}}
teams: {{vision: {{share: {share}}}}}
"""


def spec(name: str, *, nodes: int = 1, number: int = 1, share: int = 1) -> str:
    return SPEC.format(name=name, nodes=nodes, number=number, share=share)


def entry(stack: str, new: str, *, action: str = "promote", who: str = "alice", passed: bool = True) -> Entry:
    return Entry(
        sequence=1, previous="", time="", who=who, action=action,  # type: ignore[arg-type]
        stack=stack, release=new, commit=f"c-{new}", passed=passed,
    )  # fmt: skip


def test_a_release_must_have_passed_one_environment_below() -> None:
    assert "nothing was promoted to `staging` yet" in gates.tried_below((), "staging", "r1")
    assert "`staging` has release r1, this checkout is r2" in gates.tried_below(
        (entry("staging", "r1"),), "staging", "r2"
    )
    failed = (entry("staging", "r1"), entry("staging", "r1", passed=False))
    assert "failed in `staging`" in gates.tried_below(failed, "staging", "r1")
    rolled = (entry("staging", "r1"), entry("staging", "r0", action="rollback"))
    assert "`staging` has release r0" in gates.tried_below(rolled, "staging", "r1")
    assert gates.tried_below((entry("staging", "r1"), entry("production", "r0")), "staging", "r1") == ""
    assert gates.tried_below((entry("staging", "r1", action="approve"),), "staging", "r1") != ""
    killed = (entry("staging", "r1"), entry("staging", "r1", action="begin", passed=False))
    assert "nothing tells how it ended" in gates.tried_below(killed, "staging", "r1")


def test_environments_differ_only_where_they_may() -> None:
    staging, production = loads(spec("staging")), loads(spec("production", nodes=4, number=2))
    assert list(gates.differs_where_it_may(staging, production)) == [
        "`pools.gpu.addresses` differs from the environment below — make it equal, or name it in `promotion.may_differ`"
    ]
    other = loads(spec("production", share=9))
    assert [line.split()[0] for line in gates.differs_where_it_may(staging, other)] == ["`teams.vision.share`"]


@pytest.mark.parametrize(("below", "stack"), [("falcon-dev", "falcon-staging"), ("falcon-staging", "falcon")])
def test_the_environments_that_we_ship_differ_where_they_may(below: str, stack: str) -> None:
    target = load(stack)
    assert target.promotion is not None
    assert target.promotion.after == below
    assert list(gates.differs_where_it_may(load(below), target)) == []


def test_no_difference_is_too_far_down_to_be_judged() -> None:
    """The pair that we ship differs in more fields than are shown, its teams last."""
    below, target = load("falcon-staging"), load("falcon")
    assert target.promotion is not None
    names = [each for each in target.promotion.may_differ if not each.startswith("teams")]
    strict = target.model_copy(update={"promotion": target.promotion.model_copy(update={"may_differ": tuple(names)})})
    assert any("`teams." in line for line in gates.differs_where_it_may(below, strict))
    assert len(list(gates.differs_where_it_may(below, strict))) == 2


def test_approvals_are_of_this_release_and_of_other_people() -> None:
    own = entry("production", "r1", action="approve")
    old = entry("production", "r0", action="approve", who="bob")
    there = entry("production", "r1", action="approve", who="bob")
    assert "0 of 1 approvals" in gates.approved((own, old), "production", "r1", needed=1, promoter="alice")
    assert gates.approved((own, there), "production", "r1", needed=1, promoter="alice") == ""
    assert "1 of 2" in gates.approved((there, there), "production", "r1", needed=2, promoter="alice")


def test_a_rollback_goes_to_the_last_good_release_that_is_another() -> None:
    log = (
        entry("production", "r1"),
        entry("production", "r2"),
        entry("staging", "r9"),
        entry("production", "r3", passed=False),
        entry("production", "r3", passed=False),
    )
    found = gates.former(log, "production")
    assert found is not None
    assert found.release == "r2"
    assert gates.former(log[:1], "production") is None
    assert gates.former((), "production") is None


def tree(top: Path) -> None:
    for path, text in (
        ("platform_iac/a.py", "1"),
        ("roles/r/tasks/main.yml", "2"),
        ("stacks/a.yaml", "3"),
        ("stacks/Pulumi.a.yaml", "salt"),
        ("requirements.lock", "4"),
        ("policies/rules/a.py", "5"),
        ("policies/approvals/a.py", "6"),
    ):
        (top / path).parent.mkdir(parents=True, exist_ok=True)
        (top / path).write_text(text)


def test_a_release_is_what_decides_the_outcome_and_nothing_else(tmp_path: Path) -> None:
    tree(tmp_path)
    first = release.digest(tmp_path)
    (tmp_path / "README.md").write_text("words")
    (tmp_path / "stacks" / "Pulumi.a.yaml").write_text("other salt")
    (tmp_path / "policies" / "approvals" / "a.json").write_text("[]")
    assert release.digest(tmp_path) == first
    for path in (
        "platform_iac/a.py",
        "roles/r/tasks/main.yml",
        "stacks/a.yaml",
        "requirements.lock",
        "policies/rules/a.py",
        "policies/approvals/a.py",
    ):
        before = release.digest(tmp_path)
        (tmp_path / path).write_text("changed")
        assert release.digest(tmp_path) != before, path
