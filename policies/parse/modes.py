"""File modes as people and Ansible write them: octal text, numbers, symbols."""

from __future__ import annotations

import re

_SYMBOLIC = re.compile(r"[ugoa]*[=+-][rwxXst]*")
_WHO = {"u": 0o700, "g": 0o070, "o": 0o007}
_WHAT = {"r": 0o444, "w": 0o222, "x": 0o111, "X": 0o111, "s": 0, "t": 0}


def bits(mode: object) -> int | None:
    """Return the permission bits of `0644`, `644`, `0o644`, `u=rw,go=r` or a number; None for anything else.

    A number is what chmod gets: YAML's 0644 may arrive as 420, and 644 as it stands.
    """
    if isinstance(mode, bool):
        return None
    if isinstance(mode, int | float):
        return int(mode) & 0o7777 if float(mode).is_integer() else None
    if not isinstance(mode, str):
        return None
    text = mode.strip().lower().removeprefix("0o")
    if re.fullmatch(r"[0-7]{1,5}", text):
        return int(text, 8)
    clauses = mode.strip().split(",")
    if not all(_SYMBOLIC.fullmatch(clause) for clause in clauses):
        return None
    found = 0
    for clause in clauses:
        who, sign, what = re.split(r"([=+-])", clause, maxsplit=1)
        reach = 0
        for letter in "ugo" if not who or "a" in who else who:
            reach |= _WHO[letter]
        wanted = 0
        for letter in what:
            wanted |= _WHAT[letter]
        found = (
            found & ~(reach & wanted) if sign == "-" else (found & ~reach if sign == "=" else found) | reach & wanted
        )
    return found
