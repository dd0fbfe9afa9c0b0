"""`platform:index:Identity`: what tells one platform from every other, whatever stacks and backends are called.

Drawn once and kept in the stack's state. It is no secret: each host has it on record (`runner/owner.py`).
"""

from __future__ import annotations

import uuid

from platform_iac.provider import sites
from platform_iac.provider.handlers import Context, Diff, Failure, Values
from platform_iac.provider.values import UNKNOWN


class Identity:
    """Input `home`, the first site and its hosts; output `platform`, the id.

    Every Role waits for the id, so what is refused here is refused before any other resource is made.
    """

    token = "platform:index:Identity"  # noqa: S105
    secret_outputs: frozenset[str] = frozenset()

    def check(self, olds: Values, news: Values) -> tuple[Values, list[Failure]]:
        """Refuse another first site: its hosts would take over the names of those that are there."""
        was, now = olds.get("home") or {}, news.get("home") or {}
        why = sites.usurped(was.get("site"), was.get("hosts", ()), now.get("site"), now.get("hosts", ()))
        return news, [Failure("home", why)] if why else []

    def diff(self, id: str, old_inputs: Values, old_outputs: Values, news: Values) -> Diff:
        """It never changes; where `home` does, the engine records that."""
        del id, old_inputs, old_outputs, news
        return Diff({})

    def create(self, inputs: Values, ctx: Context) -> tuple[str, Values]:
        """Draw the id."""
        if ctx.preview:
            return "", {**inputs, "platform": UNKNOWN}
        drawn = str(uuid.uuid4())
        return drawn, {**inputs, "platform": drawn}

    def read(self, id: str, inputs: Values, outputs: Values, ctx: Context) -> tuple[Values, Values]:
        """The state is the only place it is in."""
        del id, ctx
        return inputs, outputs

    def update(self, id: str, old_inputs: Values, old_outputs: Values, news: Values, ctx: Context) -> Values:
        """Nothing about it can change."""
        del id, old_inputs, ctx
        return {**old_outputs, **news}

    def delete(self, id: str, inputs: Values, outputs: Values, ctx: Context) -> None:
        """The engine forgets it."""
