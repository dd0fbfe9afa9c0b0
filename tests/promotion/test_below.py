"""What is asked of the environment below before anything is touched; a double stands in for Pulumi's command line."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from platform_iac.commands import promote
from platform_iac.commands.pulumi import EngineError
from platform_iac.promotion.evidence import Entry
from platform_iac.spec.load import load

DOUBLE = """#!/bin/sh
echo "$*" >> "$PULUMI_DOUBLE/asked"
case "$1 $2" in
"stack select")
    case "$*" in *--create*) touch "$PULUMI_DOUBLE/there" ;; esac
    [ -e "$PULUMI_DOUBLE/there" ] || { echo "error: no stack named 'falcon-staging' found" >&2; exit 6; } ;;
"stack history") cat "$PULUMI_DOUBLE/history" ;;
esac
"""


@pytest.fixture
def double(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of a Pulumi that has no stack unless `there` is in it."""
    (tmp_path / "pulumi").write_text(DOUBLE)
    (tmp_path / "pulumi").chmod(0o755)
    (tmp_path / "history").write_text("[]")
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    monkeypatch.setenv("PULUMI_DOUBLE", str(tmp_path))
    monkeypatch.setenv("PULUMI_BACKEND_URL", f"file://{tmp_path / 'backend'}")
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "home"))
    monkeypatch.setattr(promote.drift, "scan", lambda stack: ())
    return tmp_path


def refusals() -> list[str]:
    """What keeps release r1 from `falcon`, when it passed in `falcon-staging` and somebody approved it."""
    fixed = {"sequence": 1, "previous": "", "time": "", "release": "r1", "commit": "c1"}
    log = (
        Entry(who="alice", action="promote", stack="falcon-staging", **fixed),  # type: ignore[arg-type]
        Entry(who="bob", action="approve", stack="falcon", **fixed),  # type: ignore[arg-type]
    )
    found = promote._refusals("falcon", load("falcon"), log, "r1", "alice")
    return [each for each in found if not each.startswith("the checkout has changes")]


def test_a_backend_without_the_stack_below_gets_none(double: Path) -> None:
    with pytest.raises(EngineError, match="no stack named 'falcon-staging' found") as refused:
        refusals()
    assert "PULUMI_BACKEND_URL" in str(refused.value)
    assert "PULUMI_CONFIG_PASSPHRASE" in str(refused.value)
    assert not (double / "there").exists()


@pytest.mark.parametrize(("kind", "verb"), [("destroy", "down"), ("update", "up")])
def test_a_run_below_that_failed_shuts_the_gate(double: Path, kind: str, verb: str) -> None:
    (double / "there").touch()
    good = {"kind": "update", "result": "succeeded", "environment": {}}
    (double / "history").write_text(json.dumps([{"kind": kind, "result": "failed"}, good]))
    (refusal,) = refusals()
    assert refusal.startswith(f"the last `{verb}` of `falcon-staging` did not succeed")
    assert refusal.endswith("`platform-iac promote --to falcon-staging` comes first")
    assert not any("--create" in asked for asked in (double / "asked").read_text().splitlines())
