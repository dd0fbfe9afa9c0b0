"""Buckets, as services use them, whatever kind of storage they are in."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from platform_iac import kinds

if TYPE_CHECKING:
    from platform_iac.plan.context import Context
    from platform_iac.plan.model import Secret


@dataclass(frozen=True, slots=True, kw_only=True)
class Bucket:
    """A bucket with the account that owns it. `run` is the role run that makes it."""

    name: str
    endpoint: str
    access_key: str
    secret_key: Secret
    run: str


def bucket(name: str, context: Context) -> Bucket | None:
    """Return the bucket of this name in the first storage that has one; None where none has.

    A kind of storage with an object store has a function `buckets(name, spec, context)` beside its other parts.
    """
    for storage, spec in sorted(context.spec.storage.items()):
        find = getattr(kinds.find("storage", spec.kind), "buckets", None)
        found: dict[str, Bucket] = find(storage, spec, context) if find else {}
        if name in found:
            return found[name]
    return None
