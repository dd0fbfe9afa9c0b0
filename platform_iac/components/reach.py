"""How the provider gets to a site's hosts: what a site's `build` returns."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

    import pulumi


@dataclass(frozen=True, slots=True, kw_only=True)
class Reach:
    """One site's door.

    `host_keys` and `instances` are by host. A host whose `instance` changes is a new machine: every
    role runs on it again. `deleted_with` is the resource whose deletion takes the hosts with it, so
    that destroying it makes teardown on them pointless.
    """

    ssh_config: pulumi.Input[str]
    host_keys: Mapping[str, pulumi.Input[str]] = field(default_factory=dict)
    instances: Mapping[str, pulumi.Input[str]] = field(default_factory=dict)
    deleted_with: pulumi.Resource | None = None
