"""Whose a name without a site is: the hosts' of the platform's first site (docs/decisions/0016)."""

from __future__ import annotations

from collections.abc import Collection


def usurped(was: str | None, hosts: Collection[str], now: str | None, new_hosts: Collection[str]) -> str:
    """Return why the hosts of site `now` cannot have the names of those of site `was`; nothing where they can.

    Those would be torn down for them, and they for their own names that nobody has then. A site that got another name
    keeps its hosts.
    """
    if not was or was == now or not hosts or not set(hosts).isdisjoint(new_hosts):
        return ""
    return (
        f"its hosts are those of site {was!r} and would be those of {now!r} — write {was!r} first in `sites`, as it "
        "was; to give it up, take its pools out of the spec, run `up`, and only then take it out of `sites`"
    )
