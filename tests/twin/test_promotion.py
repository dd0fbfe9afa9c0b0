"""`make demo-promotion` and what it does not show: three twins play development, staging and production.

The tests down to the one that removes everything tell one story: each needs what those before it did, so they run in
this order and all of them. One picked by its name fails.
"""

from __future__ import annotations

import hashlib
import json
import os
import secrets
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from demo import story
from demo.scene import ENVIRONMENTS, Scene
from tests.twin import cleanup, processes
from tests.twin.stack import TOP
from tests.twin_support.machines import call

pytestmark = [pytest.mark.twin, pytest.mark.timeout(1500)]

CHRONY = "roles/base/templates/chrony.conf.j2"


class Watched(Scene):
    """The scene of the demonstration, with what a test asks of it beside."""

    @property
    def entries(self) -> list[dict[str, object]]:
        log = self.top / "evidence" / "log.jsonl"
        return [json.loads(line) for line in log.read_text().splitlines()] if log.exists() else []

    def ssh(self, environment: str, command: str) -> str:
        return self.run("platform-iac", "ssh", "--stack", self.stack(environment), "mirror01", command).text

    def last(self, verb: str) -> str:
        """What the newest call of this verb said."""
        return next(said.text for said in reversed(self.said) if said.command.startswith(f"platform-iac {verb}"))


@pytest.fixture(scope="module")
def scene(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Watched]:
    made = Watched(tmp_path_factory.mktemp("promotion") / "home", mark=f"p{secrets.token_hex(2)}")
    labs = [f"{made.stack(name)}-lab" for name in ENVIRONMENTS]
    state = made.home / "state"
    with cleanup.of_lab(labs[0], state), cleanup.of_lab(labs[1], state), cleanup.of_lab(labs[2], state):
        made.prepare()
        yield made


def silent(_: str) -> None:
    """What the story tells beside its commands is not for a test."""


def test_a_pull_request_breaks_a_policy_and_is_mended(scene: Watched) -> None:
    story.pull_request(scene, silent)
    refused, mended = [said.text for said in scene.said if " review " in said.command]
    assert "❌ refused by policy" in refused
    assert "`hosts-sshd-passwords`" in refused
    assert "+PasswordAuthentication yes" in refused
    assert "✅ no policy refuses it" in mended
    assert "`/etc/ssh/authorized_keys.d/bob`" in mended
    assert scene.begun == [], "a review needs no machine"


def test_a_good_release_goes_through_all_three_and_nothing_else_does(scene: Watched) -> None:
    story.promotion(scene, silent)
    first = next(said for said in scene.said if " promote " in said.command)
    assert f"nothing was promoted to `{scene.stack('staging')}` yet" in first.text
    assert "0 of 1 approvals" in first.text
    assert [(entry["action"], entry["stack"], entry["passed"]) for entry in scene.entries] == [
        ("begin", scene.stack("dev"), False),
        ("promote", scene.stack("dev"), True),
        ("begin", scene.stack("staging"), False),
        ("promote", scene.stack("staging"), True),
        ("approve", scene.stack("production"), True),
        ("begin", scene.stack("production"), False),
        ("promote", scene.stack("production"), True),
    ]
    assert len({entry["release"] for entry in scene.entries}) == 1
    table = scene.last("evidence")
    assert "7 lines, every signature and hash verified" in table
    assert "3 checks passed" in table


def test_the_evidence_keeps_what_the_policies_said(scene: Watched) -> None:
    kept = scene.entries[-1]["policies"]
    assert isinstance(kept, dict)
    assert kept["rules"] > 40
    assert (kept["refused"], kept["since"]) == (0, "")
    told = scene.run("platform-iac", "policy", scene.stack("production"), "--json").text
    assert hashlib.sha256(told.encode()).hexdigest() == kept["report"]
    assert len(json.loads(told)["verdicts"]) == len(kept["remarks"])


def test_a_change_by_hand_is_found_and_mended_by_up(scene: Watched) -> None:
    story.drift(scene, silent)
    found, after = [said.text for said in scene.said if " drift " in said.command]
    assert "mirror01  file /etc/ssh/sshd_config.d/10-platform.conf  content differs" in found
    assert "+PasswordAuthentication yes" in found
    assert after == "No host differs from what was applied.\n"
    assert "PasswordAuthentication no" in scene.ssh("production", "cat /etc/ssh/sshd_config.d/10-platform.conf")
    head = scene.quietly("git", "rev-parse", "HEAD~1").strip()  # HEAD has the evidence of it
    assert f"the change since {head[:12]} too; none refuses" in scene.last("up")


def test_up_refuses_a_grave_change_of_what_runs_until_somebody_approves_it_by_name(scene: Watched) -> None:
    spec = "stacks/" + scene.stack("dev") + ".yaml"
    before = (scene.top / spec).read_text()
    scene.edit(spec, "10.91.1.10", "10.91.1.11")
    refused = scene.run("platform-iac", "up", scene.stack("dev"), expect=1).text
    assert "mandatory impact-replace" in refused
    assert "would replace 1 hosts (mirror01), 0 are allowed" in refused
    assert "nothing was touched" in refused
    digest = refused.split("the change ")[1].split()[0]
    approvals = scene.top / "policies" / "approvals" / f"{scene.stack('dev')}.json"
    approvals.parent.mkdir(exist_ok=True)
    approvals.write_text(json.dumps([{"change": digest, "by": "Carol <carol@example.net>", "why": "new rack"}]))
    head = scene.quietly("git", "rev-parse", "HEAD~1").strip()
    allowed = scene.run("platform-iac", "policy", scene.stack("dev"), "--base", head).text
    assert "0 refuse it" in allowed
    approvals.unlink()
    (scene.top / spec).write_text(before)


def test_a_checkout_with_changes_is_refused(scene: Watched) -> None:
    (scene.top / "README.md").write_text("not committed\n")
    assert "README.md" in scene.promote("dev", expect=1).text
    scene.quietly("git", "checkout", "--quiet", "README.md")


def test_a_bad_release_stops_where_it_fails_and_production_is_untouched(scene: Watched) -> None:
    before = scene.ssh("production", "sha256sum /etc/chrony/chrony.conf")
    path = scene.top / CHRONY
    path.write_text(path.read_text() + "no such directive\n")
    scene.commit("a mistake")
    assert "FAILED, recorded" in scene.promote("dev", expect=1).text
    assert f"failed in `{scene.stack('dev')}`" in scene.promote("staging", expect=1).text
    scene.approve("production")
    refused = scene.promote("production", expect=1).text
    assert f"`{scene.stack('staging')}` has release {scene.entries[0]['release']}, this checkout is" in refused
    assert scene.ssh("production", "sha256sum /etc/chrony/chrony.conf") == before
    scene.commit("evidence of the mistake")


def test_a_rollback_brings_the_former_release_back_with_its_own_code(scene: Watched) -> None:
    good = scene.entries[0]
    scene.promote("dev", "--rollback")
    last = scene.entries[-1]
    assert (last["action"], last["release"], last["commit"]) == ("rollback", good["release"], good["commit"])
    assert "no such directive" not in scene.ssh("dev", "cat /etc/chrony/chrony.conf")
    assert scene.ssh("dev", "systemctl is-active chrony.service").strip() == "active"
    left = scene.quietly("git", "worktree", "list")
    assert len(left.splitlines()) == 1, left
    scene.commit("evidence of the rollback")


def test_drift_and_an_up_below_stop_a_promotion_and_the_verb_names_it(scene: Watched) -> None:
    path = scene.top / CHRONY
    path.write_text(path.read_text().replace("no such directive\n", ""))
    scene.commit("a mended release")
    scene.promote("dev")
    path.write_text(path.read_text() + "# another release\n")
    scene.commit("another release")
    scene.run("platform-iac", "up", scene.stack("dev"))
    scene.quietly("git", "revert", "--no-edit", "HEAD")
    assert "somebody applied it past the log" in scene.promote("staging", expect=1).text
    scene.ssh("dev", "echo '# by hand' >> /etc/chrony/chrony.conf")
    refused = scene.promote("staging", expect=1).text
    assert f"`{scene.stack('dev')}` drifted: mirror01: file /etc/chrony/chrony.conf: content differs" in refused
    (found,) = json.loads(scene.run("platform-iac", "drift", scene.stack("dev"), "--json", expect=1).text)
    assert (found["host"], found["thing"]) == ("mirror01", "file /etc/chrony/chrony.conf")
    assert "+# by hand" in found["said"]


def test_a_tampered_log_is_refused_before_anything_is_touched(scene: Watched) -> None:
    log = scene.top / "evidence" / "log.jsonl"
    text = log.read_text()
    for tampered in (text.replace('"passed":false', '"passed":true'), "".join(text.splitlines(keepends=True)[:-1])):
        log.write_text(tampered)
        for told in (scene.promote("dev", expect=2), scene.run("platform-iac", "evidence", expect=2)):
            assert "the log does not begin with the one that is committed" in told.text
    log.write_text(text)


def test_everything_goes_without_a_trace(scene: Watched) -> None:
    home = scene.home
    assert list((home / "tmp").iterdir()) == []
    scene.remove()
    assert scene.mark not in call(["ip", "netns"], timeout=30).ok()
    assert not home.exists()


def test_a_demonstration_that_is_interrupted_removes_its_machines(tmp_path: Path) -> None:
    mark = f"i{secrets.token_hex(2)}"
    state = tmp_path / "state"
    lab = f"{mark}-dev-lab"
    with cleanup.of_lab(lab, state):
        process = subprocess.Popen(
            [sys.executable, "-m", "demo", "--mark", mark],
            cwd=TOP,
            env={**os.environ, "XDG_STATE_HOME": str(state)},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        for line in process.stdout or ():
            if "Machine" in line and "creating" in line:
                break
        started = time.monotonic()
        process.send_signal(signal.SIGINT)
        said, _ = process.communicate(timeout=180)
        assert process.returncode == 130, said[-4000:]
        assert "interrupted: everything is removed" in said
        assert lab not in call(["ip", "netns"], timeout=30).ok()
        assert not (state / "platform-iac" / "demo-promotion").exists()
        assert processes.find(f"XDG_STATE_HOME={state / 'platform-iac' / 'demo-promotion' / 'state'}") == []
        assert time.monotonic() - started < 180
