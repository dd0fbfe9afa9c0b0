"""`platform-iac evidence`: who brought which release where. Also how the log is read, and written by `promote`."""

from __future__ import annotations

import subprocess
from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Final

from platform_iac.commands import layout
from platform_iac.commands.errors import FAILED, CommandError
from platform_iac.commands.pulumi import TOP
from platform_iac.promotion import evidence as chain
from platform_iac.promotion import signature

if TYPE_CHECKING:
    from platform_iac.promotion.evidence import Entry

LOG: Final = Path("evidence/log.jsonl")
SIGNERS: Final = Path("evidence/allowed_signers")


def evidence() -> int:
    """Verify every line of the log and print it as a table; 0, as a log that was tampered with is an error."""
    rows = [
        (str(entry.sequence), entry.time, entry.action, entry.stack, entry.release, entry.who, _outcome(entry))
        for entry in read()
    ]
    head = ("line", "time", "what", "stack", "release", "who", "outcome")
    print(layout.table(f"{LOG}: {len(rows)} lines, every signature and hash verified", [head, *rows]), end="")
    return 0


def _outcome(entry: Entry) -> str:
    if entry.action == "approve":
        return ""
    failed = entry.checks.get("failed", [])
    checks = Counter({"passed": entry.checks.get("passed", 0), "failed": len(failed)})
    said = ", ".join(f"{count} checks {what}" for what, count in checks.items() if count) or "not applied"
    return said if entry.passed else f"FAILED: {said}"


def read() -> tuple[Entry, ...]:
    """Return the entries of the log, every one verified.

    Raises:
        EvidenceError: a line is not what it was.
        CommandError: nobody may sign yet.
    """
    allowed = TOP / SIGNERS
    if not allowed.is_file():
        hint = f"NAME {signature.NAMESPACE_HINT}"
        raise CommandError(
            f"there is no {SIGNERS} — write it: one line `{hint}` for everybody who promotes or approves"
        )
    committed = subprocess.run(
        ["git", "show", f"HEAD:{LOG}"], cwd=TOP, capture_output=True, text=True, check=False
    ).stdout
    return chain.read(
        _text(), lambda content, signed, who: signature.why_not(content, signed, who, allowed), committed=committed
    )


def owner(key: Path) -> str:
    """Return who owns a key, as `evidence/allowed_signers` says."""
    return signature.principal(key, TOP / SIGNERS)


def record(entry: Entry, key: Path) -> int:
    """Sign an entry and append it; 1 where what it tells failed."""
    text = _text()
    placed = chain.follow(text, entry)
    signed = replace(placed, signature=signature.sign(placed.signed_bytes(), key))
    path = TOP / LOG
    path.parent.mkdir(exist_ok=True)
    with path.open("a", encoding="utf-8") as log:
        log.write(chain.line(signed))
    said = (
        "recorded"
        if signed.passed
        else f"FAILED, recorded; `platform-iac promote --to {entry.stack} --rollback` returns"
    )
    where = f"line {signed.sequence} of {LOG}"
    print(f"{entry.stack}: {entry.action} of release {entry.release} by {entry.who} {said} ({where})")
    return 0 if signed.passed else FAILED


def _text() -> str:
    path = TOP / LOG
    return path.read_text(encoding="utf-8") if path.is_file() else ""
