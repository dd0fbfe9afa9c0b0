"""The log of a checkout: what is merged, and what only this one has."""

from __future__ import annotations

import subprocess
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from platform_iac.commands import evidence
from platform_iac.promotion import signature
from platform_iac.promotion.evidence import Entry, EvidenceError, follow, line

ODD = "one\u2028line"


def git(folder: Path, *argv: str) -> None:
    who = ["-c", "user.name=alice", "-c", "user.email=alice@example.net"]
    subprocess.run(["git", *who, *argv], cwd=folder, check=True, timeout=30)


@pytest.fixture
def top(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A repository in which alice's key `old` is good for another day, `new` for longer."""
    until = {"old": datetime.now(UTC) + timedelta(days=1), "new": datetime.now(UTC) + timedelta(days=99)}
    top = tmp_path / "top"
    (top / "evidence").mkdir(parents=True)
    for name in until:
        argv = ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", name, "-f", str(tmp_path / name)]
        subprocess.run(argv, check=True, timeout=30)
    signers(top, until)
    git(top, "init", "-q", "--initial-branch=main")
    git(top, "add", "-A")
    git(top, "commit", "-q", "-m", "first")
    monkeypatch.setattr(evidence, "TOP", top)
    return top


def signers(top: Path, until: dict[str, datetime]) -> None:
    lines = [
        f'alice@example.net namespaces="{signature.NAMESPACE}",valid-before="{when:%Y%m%d%H%M%SZ}" '
        + (top.parent / f"{name}.pub").read_text()
        for name, when in until.items()
    ]
    (top / "evidence" / "allowed_signers").write_text("".join(lines))


def append(top: Path, key: str, *, age: timedelta) -> None:
    """Add a line that says it is so old."""
    log = top / "evidence" / "log.jsonl"
    text = log.read_text() if log.exists() else ""
    time = (datetime.now(UTC) - age).isoformat(timespec="seconds")
    placed = follow(
        text,
        Entry(
            sequence=0, previous="", time=time, who="alice@example.net", action="approve",
            stack="production", release="r1", commit="c1", checks={"said": ODD},
        ),
    )  # fmt: skip
    log.write_text(text + line(replace(placed, signature=signature.sign(placed.signed_bytes(), top.parent / key))))


def retire(top: Path) -> None:
    now = datetime.now(UTC)
    signers(top, {"old": now - timedelta(hours=2), "new": now + timedelta(days=99)})
    git(top, "add", "evidence/allowed_signers")
    git(top, "commit", "-q", "-m", "the old key is retired")


def test_a_retired_key_keeps_what_is_merged_and_adds_nothing(top: Path) -> None:
    append(top, "old", age=timedelta(hours=4))
    git(top, "add", "-A")
    git(top, "commit", "-q", "-m", "merged")
    retire(top)
    assert len(evidence.read()) == 1
    append(top, "old", age=timedelta(hours=3))
    with pytest.raises(EvidenceError, match=r"line 2 .* not signed by alice.*needs a key that is good now"):
        evidence.read()


def test_a_line_that_is_signed_again_has_the_time_of_that(top: Path, capsys: pytest.CaptureFixture[str]) -> None:
    append(top, "old", age=timedelta(days=9))
    first = evidence.read()[0].time
    retire(top)
    assert evidence.evidence(onto="HEAD", key=top.parent / "new") == 0
    assert "1 lines of evidence/log.jsonl follow HEAD now" in capsys.readouterr().out
    (again,) = evidence.read()
    assert again.checks == {"first": first, "said": ODD}
    assert datetime.now(UTC) - datetime.fromisoformat(again.time) < timedelta(hours=1)
    assert evidence.evidence(onto="HEAD", key=top.parent / "new") == 0
    assert evidence.read()[0].checks["first"] == first, "what was first stays"
