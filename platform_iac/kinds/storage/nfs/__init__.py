"""NFS: shared file systems from an all-flash system, or from NVMe servers of our own.

Read in this order: `spec` (what people write), `profiles` (what makers publish), `options` (what a client
mounts with, and the proof of it), `rules` (what does not fit the hosts), `server` and `client` (role runs),
`checks` (the proof).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from platform_iac.kinds.storage._floors import stores
from platform_iac.kinds.storage.nfs import client, rules, server
from platform_iac.kinds.storage.nfs.checks import checks
from platform_iac.kinds.storage.nfs.spec import Spec
from platform_iac.plan.model import Part

if TYPE_CHECKING:
    from platform_iac.plan.context import Context

__all__ = ["Spec", "checks", "plan"]


def plan(name: str, spec: Spec, context: Context) -> Part:  # noqa: ARG001  every kind is called alike
    """Return the runs `nfs_server` and `nfs_client_<duty>`.

    A host mounts and serves all its entries in one run, so the first entry plans for all of them.
    """
    entries = {key: part for key, part in sorted(context.spec.storage.items()) if isinstance(part, Spec)}
    if name != min(entries):
        return Part()
    rules.check(entries, context)
    client.check_folders(entries, context)
    served = server.run(entries, context)
    return Part(
        runs=(*((served,) if served else ()), *client.runs(entries, context)),
        stores=tuple(
            store
            for key, part in entries.items()
            for store in stores(key, part.floors, f"{part.mount}/{{user}}", context)
        ),
    )
