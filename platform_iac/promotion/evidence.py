"""The evidence: an append-only log in which every line names the hash of the line before it and is signed.

One JSON object a line (`evidence/log.jsonl`). A changed, removed or inserted line breaks the chain; a line
that nobody in `evidence/allowed_signers` signed is refused; that the end was not cut off is told by the
repository: the logs that are committed and merged must be the beginning of the one at hand.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict, dataclass, field, replace
from types import MappingProxyType
from typing import Any, Final, Literal

START: Final = "0" * 64
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


def follow(text: str, entry: Entry) -> Entry:
    """Return `entry` as the next one of the log `text`, not signed yet."""
    lines = text.splitlines()
    return replace(entry, sequence=len(lines) + 1, previous=_hash(lines[-1]) if lines else START)


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
    return tuple(_entries(text.splitlines(), verify))


def parse(lines: Iterable[str], first: int = 1) -> list[Entry]:
    """Return lines as entries, unverified.

    Raises:
        EvidenceError: one is no entry.
    """
    found = []
    for number, text in enumerate(lines, first):
        try:
            found.append(Entry(**json.loads(text)))
        except (TypeError, ValueError) as error:
            raise EvidenceError(f"line {number} of the log is no entry: {error} — restore it from git") from error
    return found


def _entries(lines: list[str], verify: Verify) -> Iterable[Entry]:
    previous = START
    for number, (text, entry) in enumerate(zip(lines, parse(lines), strict=True), 1):
        if entry.previous != previous or entry.sequence != number or line(entry) != f"{text}\n":
            raise EvidenceError(
                f"line {number} of the log does not follow the line before it: one of them was changed, removed or "
                "inserted — restore it from git"
            )
        if reason := verify(entry):
            raise EvidenceError(f"line {number} of the log is not signed by {entry.who[:80]}: {reason}")
        previous = _hash(text)
        yield entry


def _hash(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def _canonical(value: Mapping[str, Any]) -> bytes:
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()
