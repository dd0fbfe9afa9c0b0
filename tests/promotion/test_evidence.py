"""The log of promotions: what is appended stays, and whatever is done to it later is told."""

from __future__ import annotations

import json
import subprocess
from dataclasses import replace
from pathlib import Path

import pytest

from platform_iac.promotion import evidence, signature
from platform_iac.promotion.evidence import START, Entry, EvidenceError


def key(folder: Path, name: str) -> Path:
    path = folder / name
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", name, "-f", str(path)], check=True, timeout=30)
    return path


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Keys of alice, bob and mallory; only the first two may sign."""
    found = tmp_path_factory.mktemp("keys")
    lines = [
        f'{name}@example.net namespaces="{signature.NAMESPACE}" {key(found, name).with_suffix(".pub").read_text()}'
        for name in ("alice", "bob")
    ]
    key(found, "mallory")
    (found / "allowed").write_text("".join(lines))
    return found


def entry(**values: object) -> Entry:
    fixed = {"sequence": 0, "previous": "", "time": "2026-01-02T03:04:05+00:00", "who": "alice@example.net"}
    what = {"action": "promote", "stack": "staging", "release": "r1", "commit": "c1"}
    return Entry(**{**fixed, **what, **values})  # type: ignore[arg-type]


def append(text: str, what: Entry, folder: Path, signer: str = "alice") -> str:
    placed = evidence.follow(text, what)
    return text + evidence.line(replace(placed, signature=signature.sign(placed.signed_bytes(), folder / signer)))


def read(text: str, folder: Path, committed: str = "", signers: str = "") -> tuple[Entry, ...]:
    allowed = signers or (folder / "allowed").read_text()
    known = {"the one that is committed": committed}
    return evidence.read(text, lambda entry: signature.why_not(entry, allowed, merged=True), known=known)


@pytest.fixture(scope="module")
def log(folder: Path) -> str:
    text = append("", entry(), folder)
    text = append(text, entry(who="bob@example.net", action="approve", stack="production"), folder, "bob")
    return append(text, entry(stack="production", checks={"passed": 3, "failed": []}), folder)


def test_what_was_appended_is_read_again(folder: Path, log: str) -> None:
    found = read(log, folder)
    assert [(each.sequence, each.who, each.stack) for each in found] == [
        (1, "alice@example.net", "staging"),
        (2, "bob@example.net", "production"),
        (3, "alice@example.net", "production"),
    ]
    assert found[0].previous == START
    assert found[2].checks == {"passed": 3, "failed": []}
    assert read("", folder) == ()


def edited(log: str, number: int, **values: object) -> str:
    lines = log.splitlines(keepends=True)
    lines[number] = json.dumps(json.loads(lines[number]) | values, sort_keys=True, separators=(",", ":")) + "\n"
    return "".join(lines)


@pytest.mark.parametrize(
    ("tamper", "reason"),
    [
        (lambda log: edited(log, 0, release="r2"), "line 1 of the log is not signed by alice"),
        (lambda log: edited(log, 2, passed=False), "line 3 of the log is not signed by alice"),
        (lambda log: edited(log, 1, who="alice@example.net"), "line 2 of the log is not signed by alice"),
        (lambda log: "".join(log.splitlines(keepends=True)[1:]), "line 1 of the log does not follow"),
        (lambda log: "".join(log.splitlines(keepends=True)[::2]), "line 2 of the log does not follow"),
        (lambda log: log + log.splitlines(keepends=True)[0], "line 4 of the log does not follow"),
        (lambda log: log[:-1], "the last line of the log is cut off"),
        (lambda log: log + "{}\n", "line 4 of the log is no entry"),
        (lambda log: log.replace('"time":', '"time": ', 1), "line 1 of the log does not follow"),
    ],
)
def test_a_tampered_log_is_refused(folder: Path, log: str, tamper: object, reason: str) -> None:
    with pytest.raises(EvidenceError, match=reason):
        read(tamper(log), folder)  # type: ignore[operator]


def test_a_log_that_lost_its_end_is_told_by_the_committed_one(folder: Path, log: str) -> None:
    shorter = "".join(log.splitlines(keepends=True)[:2])
    assert len(read(shorter, folder)) == 2, "the chain alone cannot tell"
    with pytest.raises(EvidenceError, match="does not begin with the one that is committed"):
        read(shorter, folder, committed=log)


def test_a_stranger_cannot_sign_under_another_name(folder: Path, log: str) -> None:
    with pytest.raises(EvidenceError, match="line 4 of the log is not signed by bob"):
        read(append(log, entry(who="bob@example.net"), folder, "mallory"), folder)
    with pytest.raises(signature.SignatureError, match="names nobody with the key"):
        signature.principal(folder / "mallory", (folder / "allowed").read_text())
    assert signature.principal(folder / "bob", (folder / "allowed").read_text()) == "bob@example.net"


def test_a_key_that_is_retired_keeps_what_it_signed_and_signs_no_more(folder: Path, log: str) -> None:
    text = (folder / "allowed").read_text()
    until = text.replace("namespaces=", 'valid-before="20260102120000Z",namespaces=')
    assert len(read(log, folder, signers=until)) == 3
    later = append(log, entry(time="2026-01-02T13:00:00+00:00"), folder)
    with pytest.raises(EvidenceError, match="line 4 of the log is not signed by alice"):
        read(later, folder, signers=until)


def test_a_key_that_is_retired_does_not_sign_by_an_earlier_time(folder: Path, log: str) -> None:
    """Of a line that is merged its place in the log tells when it was, of another one today's date."""
    text = (folder / "allowed").read_text()
    until = text.replace("namespaces=", 'valid-before="20260104000000Z",namespaces=', 1)
    later = append(log, entry(time="2026-01-06T00:00:00+00:00", who="bob@example.net"), folder, "bob")
    assert len(read(later, folder, signers=until)) == 4
    with pytest.raises(EvidenceError, match=r"line 5 of the log is of 2026-01-03.*, more than a day before"):
        read(append(later, entry(time="2026-01-03T00:00:00+00:00"), folder), folder, signers=until)
    backdated = evidence.parse(evidence.lines(append(log, entry(), folder)))[-1]
    assert signature.why_not(backdated, until, merged=True) == ""
    assert "a line that is not merged yet needs a key that is good now" in signature.why_not(
        backdated, until, merged=False
    )
    assert signature.why_not(backdated, text, merged=False) == ""


def test_clocks_may_differ_a_little_and_no_line_is_of_a_time_to_come(folder: Path, log: str) -> None:
    assert len(read(append(log, entry(time="2026-01-01T12:00:00+00:00"), folder), folder)) == 4
    with pytest.raises(EvidenceError, match=r"line 4 .* is of 2999-.*, which is to come: set this computer's clock"):
        read(append(log, entry(time="2999-01-01T00:00:00+00:00"), folder), folder)
    with pytest.raises(EvidenceError, match="'yesterday' is no time"):
        read(append(log, entry(time="yesterday"), folder), folder)


def test_only_a_line_feed_ends_a_line(folder: Path, log: str) -> None:
    odd = "a\u2028b\u2029c\x85d\x1ce\r\n"
    text = append(log, entry(checks={"error": odd}), folder)
    text = append(text, entry(), folder)
    found = read(text, folder)
    assert [each.sequence for each in found] == [1, 2, 3, 4, 5]
    assert found[3].checks == {"error": odd}


def test_a_key_that_is_none_is_told(tmp_path: Path) -> None:
    (tmp_path / "nokey").write_text("hello")
    with pytest.raises(signature.SignatureError, match="cannot sign with"):
        signature.sign(b"x", tmp_path / "nokey")
