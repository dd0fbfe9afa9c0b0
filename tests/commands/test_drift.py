"""What `platform-iac drift` makes of what a refresh recorded; a double stands in for Pulumi's command line."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from platform_iac import cli
from platform_iac.checks.remote import Done, Remote
from platform_iac.commands import check
from platform_iac.commands.cabling import planned
from platform_iac.commands.pulumi import EngineError
from platform_iac.fabric import ibnet
from platform_iac.review.cells import LIMIT
from platform_iac.review.drift import Found, Seen, markdown

DOUBLE = """#!/bin/sh
for word; do test "$last" = --stack && stack=$word; last=$word; done
state="$PULUMI_DOUBLE/$stack.json"
case "$1 $2" in
"stack export") cat "$state" 2>/dev/null || echo '{"deployment": {}}' ;;
"refresh --yes") test -e "$state" || { echo "error: no state" >&2; exit 255; } ;;
esac
"""
DIFF = "content differs\nchanged today; ops used sudo as root\n--- planned\n+++ found\n@@ -1 +1 @@\n-a\n+b | `c`"


@pytest.fixture
def double(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of a Pulumi whose stack `roce` has drifted, and whose stack `falcon` cannot be read."""
    (tmp_path / "pulumi").write_text(DOUBLE)
    (tmp_path / "pulumi").chmod(0o755)
    write(tmp_path, "roce", {"ctl01": {"file /etc/a.conf": DIFF, "unit a.service": "stopped"}})
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    monkeypatch.setenv("PULUMI_DOUBLE", str(tmp_path))
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("PULUMI_BACKEND_URL", f"file://{tmp_path / 'backend'}")
    return tmp_path


def write(folder: Path, stack: str, drift: dict[str, dict[str, str]], **outputs: object) -> None:
    urn = f"urn:pulumi:{stack}::platform-iac::t::role"
    resource = {"urn": urn, "type": "t", "outputs": {"drift": drift, **outputs}}
    (folder / f"{stack}.json").write_text(json.dumps({"version": 3, "deployment": {"resources": [resource]}}))


def test_one_stack_ends_with_0_1_or_an_error(double: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.run(["drift", "roce"]) == 1
    assert capsys.readouterr().out == (
        "2 differ\n  ctl01  file /etc/a.conf  content differs\n  ctl01  unit a.service    stopped\n"
        "\nctl01: file /etc/a.conf\n  changed today; ops used sudo as root\n"
        "  --- planned\n  +++ found\n  @@ -1 +1 @@\n  -a\n  +b | `c`\n"
    )
    write(double, "roce", {})
    assert cli.run(["drift", "roce"]) == 0
    with pytest.raises(EngineError, match="pulumi refresh of falcon did not finish: error: no state"):
        cli.run(["drift", "falcon"])


def test_a_host_whose_last_up_failed_is_no_clean_one(double: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write(double, "roce", {}, failed={"gpu02": "unreachable: no route to host"}, leftovers={"gpu03": {}})
    assert cli.run(["drift", "roce"]) == 1
    assert capsys.readouterr().out == (
        "2 differ\n  gpu02  role role  was not applied: unreachable: no route to host\n"
        "  gpu03  role role  has left something there\n"
    )


def test_an_older_state_is_refused_before_a_refresh_gives_it_a_new_date(double: Path) -> None:
    file = double / "roce.json"
    state = json.loads(file.read_text())
    for time in ("2026-11-26T03:00:00Z", "2026-11-19T03:00:00Z"):
        state["deployment"]["manifest"] = {"time": time}
        file.write_text(json.dumps(state))
        if "-26T" in time:
            assert cli.run(["drift", "roce"]) == 1
    with pytest.raises(EngineError, match="older than copy 000001"):
        cli.run(["drift", "roce"])


def test_of_several_stacks_each_is_asked_and_told(double: Path, capsys: pytest.CaptureFixture[str]) -> None:
    sarif = double / "drift.sarif"
    assert cli.run(["drift", "falcon", "roce", "no-such", "--markdown", "--sarif", str(sarif)]) == 2
    said = capsys.readouterr().out
    assert "## `falcon`: ⚠️ not asked\n\npulumi refresh of falcon did not finish: error: no state" in said
    assert "## `roce`: ❌ 2 differ on 1 host\n" in said
    assert "| `ctl01` | `unit a.service` | stopped |\n" in said
    assert "| `file /etc/a.conf` | content differs (changed today; ops used sudo as root) |\n" in said
    assert "## `no-such`: ⚠️ not asked\n" in said
    assert "```diff\n--- planned\n+++ found\n@@ -1 +1 @@\n-a\n+b | `c`\n```" in said
    (run,) = json.loads(sarif.read_text())["runs"]
    places = [result["locations"][0]["physicalLocation"]["artifactLocation"]["uri"] for result in run["results"]]
    assert places == ["stacks/roce.yaml"] * 2
    assert {result["ruleId"] for result in run["results"]} == {"drift/file", "drift/unit"}


def test_a_stack_with_a_fabric_is_asked_for_its_cables(
    double: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    write(double, "falcon", {})
    _, plan = planned("falcon")
    pulled = replace(plan, cables=tuple(cable for cable in plan.cables if (cable.b, cable.b_port) != ("leaf-01-3", 4)))
    monkeypatch.setattr(check, "reach", lambda stack, plan: Remote("ssh_config"))
    monkeypatch.setattr(Remote, "__call__", lambda *_, **__: Done(0, ibnet.write(pulled), ""))
    assert cli.run(["drift", "falcon", "--json"]) == 1
    (found,) = json.loads(capsys.readouterr().out)
    assert (found["stack"], found["host"], found["thing"]) == ("falcon", "fabric", "missing leaf-01-3 port 4")
    assert found["said"].startswith("leaf-01-3 port 4: planned gpu004 ")


def test_a_fabric_that_does_not_answer_is_no_clean_one(
    double: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    write(double, "falcon", {})
    monkeypatch.setattr(check, "reach", lambda stack, plan: Remote("ssh_config"))
    monkeypatch.setattr(Remote, "__call__", lambda *_, **__: Done(255, "", "Connection refused"))
    assert cli.run(["drift", "falcon"]) == 1
    assert "not asked: " in capsys.readouterr().out


def test_a_report_of_many_diffs_fits_into_an_issue_and_says_what_it_left_out() -> None:
    said = "content differs\n" + "\n".join(f"+{'x' * 200}" for _ in range(30))
    found = tuple(
        Found(stack="lab", host=f"n{index:03}", thing="file /etc/<a>.conf", said=said, resource="base")
        for index in range(60)
    )
    text = markdown([Seen(stack="lab", found=found), Seen(stack="clean")], "2026-11-26 02:31 UTC")
    assert 40_000 < len(text) <= LIMIT
    shown = text.count("<details>")
    assert f"\n{60 - shown} more differ in text; `platform-iac drift` shows how.\n" in text
    assert "<a>" not in text.replace("`file /etc/<a>.conf`", "")
    assert "## `clean`: ✅ no host differs from what was applied\n" in text
