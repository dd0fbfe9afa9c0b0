"""The resource types of this provider by their token."""

from __future__ import annotations

from collections.abc import Mapping

from platform_iac.provider.handlers import Handler
from platform_iac.provider.identity import Identity
from platform_iac.provider.lab import Machine, Mirror, Network
from platform_iac.provider.role import Role
from platform_iac.provider.secret import Key


def handlers() -> Mapping[str, Handler]:
    """Return one handler for each resource type."""
    found: list[Handler] = [Identity(), Key(), Role(), Mirror(), Network(), Machine()]
    return {handler.token: handler for handler in found}
