"""How fast a storage must be at least, for every kind of storage whose `Spec` has `floors`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

from pydantic import Field

from platform_iac.plan.model import Store
from platform_iac.spec.base import Model, setting

if TYPE_CHECKING:
    from platform_iac.plan.context import Context

Rate = Annotated[int, Field(ge=1, le=1_000_000_000)]


def _floor(description: str) -> Rate | None:
    floor: Rate | None = setting(None, impact="none", description=description)
    return floor


class Floors(Model):
    """What `platform-iac check storage` asks for; left out, a figure is measured and not judged."""

    read_mib_per_node: Rate | None = _floor("Sequential reads in blocks of 1 MiB: MiB/s of the slowest node.")
    read_mib: Rate | None = _floor("The same, all measuring nodes together.")
    write_mib_per_node: Rate | None = _floor("Sequential writes in blocks of 1 MiB: MiB/s of the slowest node.")
    write_mib: Rate | None = _floor("The same, all measuring nodes together.")
    read_iops_per_node: Rate | None = _floor("Random reads of 4 KiB a second on the slowest node.")
    read_iops: Rate | None = _floor("The same, all measuring nodes together.")
    write_iops_per_node: Rate | None = _floor("Random writes of 4 KiB a second on the slowest node.")
    write_iops: Rate | None = _floor("The same, all measuring nodes together.")
    creates_per_node: Rate | None = _floor("Files made a second on the slowest node.")
    creates: Rate | None = _floor("The same, all measuring nodes together.")
    nodes: Annotated[int, Field(ge=1, le=4096)] | None = setting(
        None, impact="none", description="Nodes that measure at once; left out, eight or all there are."
    )
    size_mib: Annotated[int, Field(ge=4, le=1_048_576)] = setting(
        8192, impact="none", description="Size of each node's file; more than a server's cache measures the drives."
    )
    seconds: Annotated[int, Field(ge=1, le=600)] = setting(30, impact="none", description="Time of each profile.")


MOST_NODES = 8
"""Enough to load the servers, and few enough for a queue to have them free."""


def stores(
    name: str, floors: Floors | None, directory: str, context: Context, *, shared: bool = True, direct: bool = True
) -> tuple[Store, ...]:
    """Return what to measure of a storage, for `Part.stores`: nothing where the spec sets no floors.

    `directory` is where a member may write, with `{user}` for the account; `direct` goes around the
    page cache, where the client can.
    """
    hosts = context.with_duty("compute")
    if floors is None or not hosts:
        return ()
    values = floors.model_dump(exclude={"nodes", "size_mib", "seconds"}, exclude_none=True)
    return (
        Store(
            name=name,
            directory=directory,
            nodes=min(floors.nodes or MOST_NODES, len(hosts)),
            floors=values,
            size_mib=floors.size_mib,
            seconds=floors.seconds,
            shared=shared,
            direct=direct,
        ),
    )
