"""Checks pass when the command ends well and says what is expected."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, cast

import pytest

from platform_iac.checks import run
from platform_iac.checks.remote import Done, Remote
from platform_iac.plan.model import Check, Plan


def check(name: str, expect: str = "", user: str = "root") -> Check:
    return Check(name=name, host="ctl01", argv=("ask", name), expect=expect, user=user, timeout_seconds=7)


def plan(*checks: Check) -> Plan:
    empty: Any = ()
    return Plan(
        name="x", environment="test", sites=empty, hosts=empty, secrets=empty, runs=empty, endpoints=empty,
        checks=checks, pip=empty,
    )  # fmt: skip


@pytest.mark.parametrize(
    ("done", "expect", "reason"),
    [
        (Done(0, "node is idle\n", ""), r"idle$", ""),
        (Done(0, "", ""), "", ""),
        (Done(0, "one\ntwo\n", ""), r"^two$", ""),
        (Done(1, "node is idle\n", "but no\n"), "idle", "exit status 1: but no"),
        (Done(0, "node is down\n", ""), "idle", "expected /idle/ in: node is down"),
        (Done(0, "", ""), "idle", "expected /idle/ in: nothing"),
        (Done(124, "", "ask on ctl01 ran past 7 s"), "", "exit status 124: ask on ctl01 ran past 7 s"),
    ],
)
def test_a_check_fails_with_its_reason(done: Done, expect: str, reason: str) -> None:
    assert run.why_not(check("a", expect), done) == reason


def test_results_come_in_the_plans_order_and_failures_stop_nothing() -> None:
    asked: list[tuple[str, str, float]] = []

    def remote(host: str, argv: Sequence[str], *, user: str, timeout_seconds: float) -> Done:
        asked.append((host, user, timeout_seconds))
        if argv[1] == "b":
            raise FileNotFoundError("no ssh here")
        return Done(0, argv[1], "")

    heard: list[str] = []
    checks = [check("a", "a"), check("b", user="alice"), check("c", "d"), check("e", "e")]
    results = run.run(plan(*checks), cast("Remote", remote), lambda result: heard.append(result.check.name))
    assert [(result.check.name, result.passed) for result in results] == [
        ("a", True), ("b", False), ("c", False), ("e", True),
    ]  # fmt: skip
    assert [result.reason for result in results if not result.passed] == ["no ssh here", "expected /d/ in: c"]
    assert sorted(heard) == ["a", "b", "c", "e"]
    assert set(asked) == {("ctl01", "root", 7), ("ctl01", "alice", 7)}
