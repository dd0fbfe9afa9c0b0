"""Site `lab`: the digital twin, machines made on this computer."""

from __future__ import annotations

from ipaddress import IPv4Network
from typing import TYPE_CHECKING, Literal

from pydantic import field_validator

from platform_iac.kinds.site import _base
from platform_iac.kinds.site._gpu import Driver
from platform_iac.spec.base import setting
from platform_iac.spec.site import Site
from platform_iac.spec.types import Label, Port, wrong

if TYPE_CHECKING:
    from pathlib import Path

    from pulumi import Resource

    from platform_iac.components.reach import Reach
    from platform_iac.plan import model
    from platform_iac.plan.context import Context
    from platform_iac.plan.model import Check, Part


class Spec(Site):
    """A twin: its machines, network and simulated devices are made and removed with the stack."""

    kind: Literal["lab"] = setting(impact="replace", description="The digital twin on this computer.")
    gpus: Literal["simulated"] = setting(
        "simulated", impact="reimage", description="GPUs are device nodes and a double of nvidia-smi."
    )
    forwards: dict[Label, Port] = setting(
        default_factory=dict,
        impact="none",
        description="Ports on 127.0.0.1 by which people open an endpoint of the platform, by its name.",
    )

    @field_validator("forwards")
    @classmethod
    def _one_each(cls, forwards: dict[str, int]) -> dict[str, int]:
        owners: dict[int, str] = {}
        for name, port in forwards.items():
            if (other := owners.setdefault(port, name)) != name:
                raise wrong(f"port {port} is for `{other}` and for `{name}` — give each its own")
        return forwards

    @property
    def reserved(self) -> dict[str, str]:
        """The first address is the twin's gateway and name server."""
        return {str(IPv4Network(self.network)[1]): "the twin's gateway and name server"}

    @property
    def time_servers(self) -> tuple[str, ...]:
        """A twin reaches no server outside; its mirror keeps the time."""
        return ()

    @property
    def driver(self) -> Driver:
        """A twin has no driver; what hardware would get is the default."""
        return Driver()


def plan(name: str, spec: Spec, context: Context) -> Part:  # noqa: ARG001  every kind is called alike
    """Return the runs that every site's hosts get."""
    return _base.plan(name, context)


def checks(name: str, spec: Spec, context: Context) -> tuple[Check, ...]:  # noqa: ARG001
    """Return what proves the site's hosts."""
    return _base.checks(name, context)


def build(site: model.Site, platform: model.Plan, *, parent: Resource, folder: Path) -> Reach:  # noqa: ARG001
    """Declare the lab's mirror, network and machines, and return the way in."""
    from pulumi import ResourceOptions

    from platform_iac.components.lab import Lab

    return Lab(site, platform, ResourceOptions(parent=parent)).reach
