"""Whose this host is."""

from __future__ import annotations

import json

PATH = "/var/lib/platform-iac/owner.json"


def wrong(platform: str, path: str = PATH) -> str:
    """Return whose the host is where that is another platform than expected; a host without a record is nobody's."""
    try:
        with open(path, encoding="utf-8") as handle:  # noqa: PTH123
            owner = json.load(handle)
    except FileNotFoundError:
        return ""
    if not platform or owner["platform"] == platform:
        return ""
    return f"belongs to another platform: stack {owner['stack']}, applied by {owner['by']}"
