"""Job events become the fate of each host, and lines without a secret."""

from __future__ import annotations

from typing import Any

import pytest

from platform_iac.provider.runner.events import Reporter, diffs, reason


@pytest.fixture
def said() -> list[tuple[str, str]]:
    return []


@pytest.fixture
def reporter(said: list[tuple[str, str]]) -> Reporter:
    return Reporter(lambda *line: said.append(line), {"db": "canary"})


def event(kind: str, **data: Any) -> dict[str, Any]:
    return {"event": kind, "event_data": data}


def test_changes_are_told_once_per_task_with_all_hosts(reporter: Reporter, said: list[tuple[str, str]]) -> None:
    reporter(event("playbook_on_task_start", name="gpu : Install"))
    for host in ("b", "a"):
        reporter(event("runner_on_ok", host=host, res={"changed": True}))
    reporter(event("playbook_on_stats", processed={"a": 1, "b": 1, "c": 1}))
    assert said == [("status", "Install"), ("info", "changed on a, b: Install")]
    assert reporter.outcomes["c"].finished


def test_neither_a_secret_nor_one_that_it_replaced_is_said(said: list[tuple[str, str]]) -> None:
    reporter = Reporter(lambda *line: said.append(line), {"db": "canary"}, former={"db": "parrot", "none": ""})
    assert reporter.redact("canary, parrot") == "@@secret/db@@, @@secret/db@@"


def test_a_rescued_or_ignored_failure_is_none(reporter: Reporter) -> None:
    reporter(event("runner_on_failed", host="a", res={"msg": "x"}, ignore_errors=True))
    reporter(event("runner_on_failed", host="b", res={"msg": "rescued later"}))
    reporter(event("playbook_on_stats", processed={"a": 1, "b": 1}, failures={}))
    assert [outcome.reason for outcome in reporter.outcomes.values()] == ["", ""]


def test_failures_name_the_task_and_hide_secrets(reporter: Reporter) -> None:
    reporter(event("playbook_on_task_start", name="Start"))
    reporter(event("runner_on_failed", host="a", res={"msg": "password canary was refused"}))
    reporter(event("runner_on_unreachable", host="b", res={"msg": "no route"}))
    reporter(event("playbook_on_stats", processed={"a": 1}, failures={"a": 1}))
    assert reporter.outcomes["a"].reason == "Start: password @@secret/db@@ was refused"
    assert reporter.outcomes["b"].reason == "unreachable: no route"
    assert reporter.outcomes["b"].unreachable


def test_diffs_go_to_debug_unless_they_were_asked_for(reporter: Reporter, said: list[tuple[str, str]]) -> None:
    result = {"diff": [{"before": "a\n", "after": "canary\n", "before_header": "/f", "after_header": "/f"}]}
    for host in ("a", "b"):
        reporter(event("runner_on_ok", host=host, res=result))
    reporter.close()
    reporter.show_diffs = True
    for host in ("a", "b"):
        reporter(event("runner_on_ok", host=host, res=result))
    reporter.close()
    text = "a, b: \n--- /f\n+++ /f\n@@ -1 +1 @@\n-a\n+@@secret/db@@"
    assert said == [("debug", text), ("info", text)]


@pytest.mark.parametrize(
    ("result", "words"),
    [
        ({"msg": "no such package"}, "no such package"),
        ({"msg": "failed", "stderr": "why\nand how"}, "failed — why and how"),
        ({"msg": "failed", "stdout": "only here"}, "failed — only here"),
        ({"results": [{"item": "x", "failed": True, "msg": "bad"}, {"item": "y"}]}, "x: bad"),
        ({"reason": "no such role"}, "no such role"),
        ({"msg": "@@@@@@@@\nHOST KEY CHANGED\n@@@@@"}, "HOST KEY CHANGED"),
        ({}, "no reason was given"),
    ],
)
def test_reasons_are_one_line(result: dict[str, Any], words: str) -> None:
    assert reason(result) == words


def test_diffs_of_loops_and_of_attributes_are_shown() -> None:
    result = {"results": [{"diff": {"before": {"mode": "0644"}, "after": {"mode": "0400"}}}, {"diff": {}}]}
    assert list(diffs(result)) == ["--- before\n+++ after\n@@ -1 +1 @@\n-mode: 0644\n+mode: 0400"]
