"""The evidence: an append-only log in which every line names the hash of the line before it and is signed.

One JSON object a line (`evidence/log.jsonl`). A changed, removed or inserted line breaks the chain; a line
that nobody in `evidence/allowed_signers` signed is refused, and so is one whose time does not fit its place; that
the end was not cut off is told by the repository: the logs that are committed and merged must be the beginning of
the one at hand.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict, dataclass, field, replace
from datetime import UTC, datetime, timedelta
from types import MappingProxyType
from typing import Any, Final, Literal

START: Final = "0" * 64
SLACK: Final = timedelta(days=1)
"""By how much a line may be older than one before it: clocks differ, and a promotion's last line has its first time."""

Action = Literal["begin", "promote", "rollback", "approve"]
Verify = Callable[["Entry"], str]
"""Why an entry is not signed by who it says; nothing where it is."""


class EvidenceError(ValueError):
    """The log was tampered with, or is no log. Says where."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """What somebody did. `passed` is false where the apply or a check failed, and while it is only begun."""

    sequence: int
    previous: str
    time: str
    who: str
    action: Action
    stack: str
    release: str
    commit: str
    passed: bool = True
    preview: str = ""
    policies: Mapping[str, Any] = field(default_factory=dict)
    checks: Mapping[str, Any] = field(default_factory=dict)
    signature: str = ""

    def signed_bytes(self) -> bytes:
        """What the signature is of: everything but itself."""
        return _canonical({name: value for name, value in asdict(self).items() if name != "signature"})


def line(entry: Entry) -> str:
    """Return an entry as a line of the log."""
    return _canonical(asdict(entry)).decode() + "\n"


def lines(text: str) -> list[str]:
    """Return the lines of a log. Only a line feed ends one: JSON leaves U+2028 and its like as they are."""
    return text.removesuffix("\n").split("\n") if text else []


def moment(entry: Entry) -> datetime:
    """Return when it was, as who signed it says.

    Raises:
        EvidenceError: it says no time.
    """
    try:
        return datetime.fromisoformat(entry.time).astimezone()
    except (OverflowError, TypeError, ValueError):
        raise EvidenceError(f"{str(entry.time)[:40]!r} is no time — restore the log from git") from None


def follow(text: str, entry: Entry) -> Entry:
    """Return `entry` as the next one of the log `text`, not signed yet."""
    before = lines(text)
    return replace(entry, sequence=len(before) + 1, previous=_hash(before[-1]) if before else START)


def read(text: str, verify: Verify, *, known: Mapping[str, str] = MappingProxyType({})) -> tuple[Entry, ...]:
    """Return the entries of a log, oldest first. `known` has logs that must be its beginning, by what they are.

    Raises:
        EvidenceError: a line is not what it was, or a known log is not the beginning of this one.
    """
    for name, other in known.items():
        if not text.startswith(other):
            raise EvidenceError(
                f"the log does not begin with {name}: lines were changed or cut off, or this checkout is older — "
                "`tools/evidence --take` brings the merged one"
            )
    if text and not text.endswith("\n"):
        raise EvidenceError("the last line of the log is cut off — restore it from git")
    return tuple(_entries(lines(text), verify))


def parse(texts: Iterable[str], first: int = 1) -> list[Entry]:
    """Return lines as entries, unverified.

    Raises:
        EvidenceError: one is no entry.
    """
    found = []
    for number, text in enumerate(texts, first):
        try:
            found.append(Entry(**json.loads(text)))
        except (TypeError, ValueError) as error:
            raise EvidenceError(f"line {number} of the log is no entry: {error} — restore it from git") from error
    return found


def _entries(texts: list[str], verify: Verify) -> Iterable[Entry]:
    previous, latest, now = START, datetime.min.replace(tzinfo=UTC), datetime.now(UTC)
    for number, (text, entry) in enumerate(zip(texts, parse(texts), strict=True), 1):
        if entry.previous != previous or entry.sequence != number or line(entry) != f"{text}\n":
            raise EvidenceError(
                f"line {number} of the log does not follow the line before it: one of them was changed, removed or "
                "inserted — restore it from git"
            )
        if reason := verify(entry):
            raise EvidenceError(f"line {number} of the log is not signed by {entry.who[:80]}: {reason}")
        when = moment(entry)
        if latest - when > SLACK:
            raise EvidenceError(
                f"line {number} of the log is of {entry.time}, more than a day before a line that it follows: a line "
                "is dated when it is signed — take it out, and record it again"
            )
        if when - now > SLACK:
            raise EvidenceError(
                f"line {number} of the log is of {entry.time}, which is to come: set this computer's clock, or, if it "
                "is right, take the line out by a commit — every later line would be too old"
            )
        previous, latest = _hash(text), max(latest, when)
        yield entry


def _hash(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def _canonical(value: Mapping[str, Any]) -> bytes:
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()
