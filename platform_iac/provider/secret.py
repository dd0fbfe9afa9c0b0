"""`platform:secret:Key`: a random secret that is made once and kept encrypted in Pulumi's state."""

from __future__ import annotations

import base64
import secrets
import struct
import uuid

from platform_iac.provider.handlers import Change, Context, Diff, Failure, Values
from platform_iac.provider.values import UNKNOWN

LEAST_BYTES, MOST_BYTES = 8, 1024
"""A key of InfiniBand has 64 bits and cannot have more; all others have more because the plan asks for it."""
CEPHX_BYTES = 16


def draw(length: int, form: str) -> str:
    """Return a secret from the operating system as text: `hex`, or `cephx` as Ceph's keyrings have it.

    A cephx key is base64 of type 1 (AES), the time of its making (left zero), its length and the key itself,
    little-endian (ceph, src/auth/Crypto.cc, CryptoKey::encode).
    """
    key = secrets.token_bytes(length)
    if form == "cephx":
        return base64.b64encode(struct.pack("<HIIH", 1, 0, 0, length) + key).decode()
    return key.hex()


class Key:
    """Inputs `length` in bytes and `form`; output `value`, secret."""

    token = "platform:secret:Key"  # noqa: S105
    secret_outputs = frozenset({"value"})

    def check(self, olds: Values, news: Values) -> tuple[Values, list[Failure]]:
        """Refuse a length that is no whole number of bytes between 8 and 1024."""
        del olds
        length = news.get("length", 32)
        inputs = {**news, "length": length}
        form = news.get("form", "hex")
        if form not in ("hex", "cephx"):
            return inputs, [Failure("form", f"must be `hex` or `cephx`, not {form!r}")]
        if form == "cephx" and length != CEPHX_BYTES:
            return inputs, [Failure("length", f"must be {CEPHX_BYTES} bytes for a cephx key, not {length}")]
        if length != UNKNOWN and not (isinstance(length, int) and LEAST_BYTES <= length <= MOST_BYTES):
            return inputs, [Failure("length", f"must be {LEAST_BYTES} to {MOST_BYTES} bytes, not {length}")]
        return inputs, []

    def diff(self, id: str, old_inputs: Values, old_outputs: Values, news: Values) -> Diff:
        """Another length or form is another key."""
        del id, old_inputs
        kept = {"length": old_outputs.get("length"), "form": old_outputs.get("form", "hex")}
        changed = tuple(name for name, old in kept.items() if old != news.get(name, "hex"))
        return Diff({name: Change("update") for name in changed}, changed, delete_first=False)

    def create(self, inputs: Values, ctx: Context) -> tuple[str, Values]:
        """Draw the secret from the operating system."""
        if ctx.preview:
            return "", {**inputs, "value": UNKNOWN}
        return uuid.uuid4().hex, {**inputs, "value": draw(inputs["length"], inputs.get("form", "hex"))}

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
