"""`platform-iac evidence`: who brought which release where. Also how the log is read, and written by `promote`."""

from __future__ import annotations

import os
import subprocess
from collections import Counter
from dataclasses import replace
from datetime import UTC, datetime
from itertools import takewhile
from pathlib import Path
from typing import TYPE_CHECKING, Final

from platform_iac.commands import layout
from platform_iac.commands.errors import FAILED, CommandError
from platform_iac.commands.pulumi import TOP
from platform_iac.lab.paths import locked, write
from platform_iac.promotion import evidence as chain
from platform_iac.promotion import signature

if TYPE_CHECKING:
    from platform_iac.promotion.evidence import Entry

LOG: Final = Path("evidence/log.jsonl")
SIGNERS: Final = Path("evidence/allowed_signers")
MERGED: Final = ("refs/remotes/origin/HEAD", "refs/remotes/origin/main", "refs/remotes/origin/master")
"""Where the branch that keeps the evidence is, as this clone last fetched it."""


def evidence(*, onto: str | None, key: Path | None) -> int:
    """Verify every line of the log and print it as a table; 0, as a log that was tampered with is an error.

    With `onto`, first sign the lines that only this checkout has again, as following the log of that commit. They get
    the time of that; `first` in their `checks` is when they were signed at first.
    """
    if onto is not None:
        if key is None:
            raise CommandError("--onto signs lines anew — name their key with --key")
        with locked(TOP / LOG):
            _move(onto, key)
    rows = [
        (str(entry.sequence), entry.time, entry.action, entry.stack, entry.release, entry.who, _outcome(entry))
        for entry in read()
    ]
    head = ("line", "time", "what", "stack", "release", "who", "outcome")
    print(layout.table(f"{LOG}: {len(rows)} lines, every signature and hash verified", [head, *rows]), end="")
    return 0


def _outcome(entry: Entry) -> str:
    if entry.action in ("approve", "begin"):
        return ""
    failed = entry.checks.get("failed", [])
    checks = Counter({"passed": entry.checks.get("passed", 0), "failed": len(failed)})
    said = ", ".join(f"{count} checks {what}" for what, count in checks.items() if count) or "not applied"
    return said if entry.passed else f"FAILED: {said}"


def read() -> tuple[Entry, ...]:
    """Return the entries of the log, every one verified.

    Raises:
        EvidenceError: a line is not what it was, or lines are missing that the commit or the merged branch has.
        CommandError: nobody may sign yet.
    """
    return _verified(_text())


def _verified(text: str) -> tuple[Entry, ...]:
    allowed = _signers()
    merged = _at(_merged(), LOG)
    count = len(chain.lines(merged))

    def verify(entry: Entry) -> str:
        return signature.why_not(entry, allowed, merged=entry.sequence <= count)

    return chain.read(text, verify, known={_name("HEAD"): _at("HEAD", LOG), _name(_merged()): merged})


def owner(key: Path) -> str:
    """Return who owns a key, as the merged `evidence/allowed_signers` says."""
    return signature.principal(key, _signers())


def begin(entry: Entry, key: Path) -> None:
    """Write down that `entry` is about to be done: a run that is killed has left this line."""
    _append(replace(entry, action="begin", passed=False, checks={"of": entry.action}), key)


def record(entry: Entry, key: Path) -> int:
    """Sign an entry and append it; 1 where what it tells failed."""
    signed = _append(entry, key)
    said = (
        "recorded"
        if signed.passed
        else f"FAILED, recorded; `platform-iac promote --to {entry.stack} --rollback` returns"
    )
    where = f"line {signed.sequence} of {LOG}"
    print(f"{entry.stack}: {entry.action} of release {entry.release} by {entry.who} {said} ({where})", flush=True)
    return 0 if signed.passed else FAILED


def _append(entry: Entry, key: Path) -> Entry:
    """Of two that append at once, one waits, so that both lines follow what is there."""
    path = TOP / LOG
    path.parent.mkdir(exist_ok=True)
    path.touch()
    with locked(path), path.open("a", encoding="utf-8") as log:
        signed = _signed(_text(), entry, key)
        log.write(chain.line(signed))
        log.flush()
        os.fsync(log.fileno())
    return signed


def _signed(text: str, entry: Entry, key: Path) -> Entry:
    placed = chain.follow(text, entry)
    return replace(placed, signature=signature.sign(placed.signed_bytes(), key))


def _move(onto: str, key: Path) -> None:
    """Let the lines that only this checkout has follow the log of another commit; they must be the key's owner's."""
    lines, there, who = chain.lines(_text()), _at(onto, LOG), owner(key)
    same = takewhile(lambda pair: pair[0] == pair[1], zip(lines, chain.lines(there), strict=False))
    if (common := len(list(same))) < len(chain.lines(_at("HEAD", LOG))):
        raise CommandError(
            f"{onto} has not every line that is committed here — only what is not committed can be moved"
        )
    own = chain.parse(lines[common:], common + 1)
    if others := sorted({entry.who for entry in own} - {who}):
        raise CommandError(f"lines of {', '.join(others)} are not {who}'s to sign again — they move their own")
    now = datetime.now(UTC).isoformat(timespec="seconds")
    for entry in own:
        again = replace(entry, time=now, checks={"first": entry.time, **entry.checks})
        there += chain.line(_signed(there, again, key))
    _verified(there)
    write(TOP / LOG, there)
    print(f"{len(own)} lines of {LOG} follow {onto} now")


def _merged() -> str:
    """The branch that keeps the evidence, as last fetched; where there is no remote, what is committed here."""
    return next((ref for ref in MERGED if _git("rev-parse", "--verify", "--quiet", ref)), "HEAD")


def _name(ref: str) -> str:
    return "the one that is committed" if ref == "HEAD" else f"that of {ref.removeprefix('refs/remotes/')}"


def _signers() -> str:
    """Who may sign: what is merged counts, so that nobody lets themselves in by an edit of their own."""
    ref = _merged()
    if text := _at(ref, SIGNERS):
        return text
    raise CommandError(
        f"there is no {SIGNERS} in {ref.removeprefix('refs/remotes/')} — commit it there: one line "
        f"`{signature.LINE}` for everybody who promotes or approves"
    )


def _at(ref: str, path: Path) -> str:
    return _git("show", f"{ref}:{path}")


def _git(*argv: str) -> str:
    """What git says; nothing where it has no such thing."""
    return subprocess.run(["git", *argv], cwd=TOP, capture_output=True, text=True, check=False).stdout


def _text() -> str:
    path = TOP / LOG
    return path.read_text(encoding="utf-8") if path.is_file() else ""
