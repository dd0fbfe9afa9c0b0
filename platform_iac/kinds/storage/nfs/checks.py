"""What proves NFS on the running platform: whole arrays, exports that squash root, and every mount's transport."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from platform_iac.kinds.storage.nfs import options, rules
from platform_iac.plan.model import Check

if TYPE_CHECKING:
    from collections.abc import Iterator

    from platform_iac.kinds.storage.nfs.spec import Spec
    from platform_iac.plan.context import Context


def checks(name: str, spec: Spec, context: Context) -> tuple[Check, ...]:
    """Return the proof of one entry: its server where it is ours, and each client."""
    clients = (
        Check(
            name=f"{host.name} mounts {spec.mount} over {spec.transport}",
            host=host.name,
            argv=options.section(spec.mount),
            expect=options.proof(name, spec, host),
        )
        for host in spec.clients(context)
    )
    return (*_server(name, spec, context), *clients)


def _server(name: str, spec: Spec, context: Context) -> Iterator[Check]:
    host = rules.server_of(name, spec, context)
    if host is None or spec.served_by is None:
        return
    if spec.served_by.raid != "none":
        yield Check(
            name=f"no disk of {host.name}'s array is missing ({name})",
            host=host.name,
            argv=("mdadm", "--detail", "--test", "/dev/md/nfs"),
            expect=r"Failed Devices : 0",
        )
    if spec.served_by.daemon == "knfsd":
        yield Check(
            name=f"{host.name} exports {name} to its networks only, and squashes root",
            host=host.name,
            argv=("exportfs", "-s"),
            expect="|".join(
                rf"^{re.escape(f'{options.ROOT}/{name}')}\s+{re.escape(one)}\(\S*\broot_squash\b"
                for one in rules.networks(spec, context)
            ),
        )
