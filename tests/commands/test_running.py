"""Which commit a change is judged against: the newest good update in Pulumi's history."""

from __future__ import annotations

import json
import subprocess

import pytest

from platform_iac.commands import running
from platform_iac.commands.errors import CommandError
from platform_iac.commands.pulumi import TOP, EngineError
from platform_iac.commands.tree import git

HEAD = git(TOP, "rev-parse", "HEAD")


def entry(kind: str, head: str = HEAD, result: str = "succeeded") -> dict[str, object]:
    return {"kind": kind, "result": result, "environment": {"git.head": head} if head else {}}


@pytest.fixture
def history(monkeypatch: pytest.MonkeyPatch):  # type: ignore[no-untyped-def]
    """Sets what Pulumi says, newest first."""

    def say(*entries: dict[str, object], rc: int = 0, stderr: str = "") -> None:
        done = subprocess.CompletedProcess([], rc, json.dumps(entries), stderr)
        monkeypatch.setattr(running, "captured", lambda *argv: done)

    return say


def test_the_newest_good_update_counts(history) -> None:  # type: ignore[no-untyped-def]
    history(entry("refresh", "0" * 40), entry("update", "1" * 40, "failed"), entry("update"), entry("update", "2" * 40))
    assert running.commit("lab") == HEAD


@pytest.mark.parametrize("entries", [(), (entry("destroy"), entry("update")), (entry("update", ""),)])
def test_where_nothing_runs_or_nothing_is_known_there_is_none(history, entries) -> None:  # type: ignore[no-untyped-def]
    history(*entries)
    assert running.commit("lab") is None


def test_a_stack_that_was_never_made_runs_nothing(history) -> None:  # type: ignore[no-untyped-def]
    history(rc=255, stderr="error: no stack named 'lab' found")
    assert running.commit("lab") is None
    assert running.unfinished("lab") == ""


@pytest.mark.parametrize(
    ("entries", "verb"),
    [
        ((), ""),
        ((entry("refresh", result="failed"), entry("update"), entry("destroy", result="failed")), ""),
        ((entry("refresh"), entry("destroy", result="failed"), entry("update")), "down"),
        ((entry("update", result="failed"), entry("update")), "up"),
        ((entry("update", result="in-progress"), entry("update")), "up"),
    ],
)
def test_what_failed_since_the_last_good_run_is_told(history, entries, verb) -> None:  # type: ignore[no-untyped-def]
    history(*entries)
    assert running.unfinished("lab") == verb


def test_a_history_that_cannot_be_read_is_no_empty_one(history) -> None:  # type: ignore[no-untyped-def]
    history(rc=255, stderr="error: read .pulumi/meta.yaml: permission denied")
    with pytest.raises(EngineError, match="cannot be read: error: read"):
        running.commit("lab")


def test_a_commit_that_this_clone_lacks_is_told(history) -> None:  # type: ignore[no-untyped-def]
    history(entry("update", "0" * 40))
    with pytest.raises(CommandError, match="`git fetch` it"):
        running.commit("lab")


def test_a_spec_of_another_repository_has_no_commit_here(history, tmp_path) -> None:  # type: ignore[no-untyped-def]
    history(entry("update"))
    assert running.commit(str(tmp_path / "other.yaml")) is None
