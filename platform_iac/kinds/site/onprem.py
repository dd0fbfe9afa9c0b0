"""Site `onprem`: machines that exist already and are reached by SSH."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import Field

from platform_iac.kinds.site import _base
from platform_iac.kinds.site._gpu import Driver
from platform_iac.spec.base import Model, setting
from platform_iac.spec.site import Site
from platform_iac.spec.types import Domain, FilePath, IPv4

if TYPE_CHECKING:
    from pathlib import Path

    from pulumi import Resource

    from platform_iac.components.reach import Reach
    from platform_iac.plan import model
    from platform_iac.plan.context import Context
    from platform_iac.plan.model import Check, Part


class Access(Model):
    """How the machines are reached. Relative paths begin at the spec's folder."""

    ssh_config: FilePath = setting(
        impact="none", description="An OpenSSH client configuration: user, key, jump hosts (ssh_config(5))."
    )
    known_hosts: FilePath = setting(
        impact="none", description="The machines' host keys; a host that is not in it is not talked to."
    )


class Spec(Site):
    """A machine room whose hosts run Debian 12 and let us log in."""

    kind: Literal["onprem"] = setting(impact="replace", description="Machines that exist already.")
    access: Access = setting(impact="none", description="How the machines are reached.")
    gpus: Literal["nvidia", "simulated"] = setting(
        "nvidia", impact="reimage", description="Real NVIDIA devices with their driver, or simulated ones for a trial."
    )
    driver: Driver = setting(Driver(), impact="drain", description="Packages of the NVIDIA driver.")
    time_servers: Annotated[tuple[IPv4 | Domain, ...], Field(max_length=8)] = setting(
        (), impact="reconfigure", description="NTP servers; without any, a host of the site keeps the time."
    )
    gateway: IPv4 | None = setting(None, impact="none", description="The router's address, which no host may have.")

    @property
    def reserved(self) -> dict[str, str]:
        """The router, where the spec names it."""
        return {self.gateway: "the site's gateway"} if self.gateway else {}


def plan(name: str, spec: Spec, context: Context) -> Part:  # noqa: ARG001  every kind is called alike
    """Return the runs that every site's hosts get."""
    return _base.plan(name, context)


def checks(name: str, spec: Spec, context: Context) -> tuple[Check, ...]:  # noqa: ARG001
    """Return what proves the site's hosts."""
    return _base.checks(name, context)


def build(site: model.Site, platform: model.Plan, *, parent: Resource, folder: Path) -> Reach:  # noqa: ARG001  the hosts are there already
    """Return the way in."""
    from platform_iac.components.onprem import reach

    return reach(site, platform, folder)
