"""`platform:secret:Key`: a random secret that is made once and kept encrypted in Pulumi's state."""

from __future__ import annotations

import secrets
import uuid

from platform_iac.provider.handlers import Change, Context, Diff, Failure, Values
from platform_iac.provider.values import UNKNOWN

LEAST_BYTES, MOST_BYTES = 16, 1024


class Key:
    """Input `length` in bytes; output `value` in hexadecimal, secret."""

    token = "platform:secret:Key"  # noqa: S105
    secret_outputs = frozenset({"value"})

    def check(self, olds: Values, news: Values) -> tuple[Values, list[Failure]]:
        """Refuse a length that is no whole number of bytes between 16 and 1024."""
        del olds
        length = news.get("length", 32)
        inputs = {**news, "length": length}
        if length != UNKNOWN and not (isinstance(length, int) and LEAST_BYTES <= length <= MOST_BYTES):
            return inputs, [Failure("length", f"must be {LEAST_BYTES} to {MOST_BYTES} bytes, not {length}")]
        return inputs, []

    def diff(self, id: str, old_inputs: Values, old_outputs: Values, news: Values) -> Diff:
        """Another length is another key."""
        del id, old_inputs
        if old_outputs.get("length") == news.get("length"):
            return Diff()
        return Diff({"length": Change("update")}, ("length",), delete_first=False)

    def create(self, inputs: Values, ctx: Context) -> tuple[str, Values]:
        """Draw the secret from the operating system."""
        if ctx.preview:
            return "", {**inputs, "value": UNKNOWN}
        return uuid.uuid4().hex, {**inputs, "value": secrets.token_hex(inputs["length"])}

    def read(self, id: str, inputs: Values, outputs: Values, ctx: Context) -> tuple[Values, Values]:
        """The state is the only place it is in."""
        del id, ctx
        return inputs, outputs

    def update(self, id: str, old_inputs: Values, old_outputs: Values, news: Values, ctx: Context) -> Values:
        """Nothing about a key can change but its length, which replaces it."""
        del id, old_inputs, ctx
        return {**old_outputs, **news}

    def delete(self, id: str, inputs: Values, outputs: Values, ctx: Context) -> None:
        """The engine forgets it."""
