"""The root of the spec: one platform."""

from __future__ import annotations

from functools import cached_property
from ipaddress import IPv4Address
from typing import TYPE_CHECKING, Annotated, Any, Literal, TypeAlias

from pydantic import Field, ValidationInfo, field_validator

from platform_iac.spec.base import Model, setting
from platform_iac.spec.hardware import Choice, Hardware, HardwareChoice
from platform_iac.spec.hostlist import expand
from platform_iac.spec.kindof import KindOf
from platform_iac.spec.prices import Prices
from platform_iac.spec.types import Hostlist, IPv4, Label, PublicKey, SafeText, SiteName, Uid, UserName, wrong

if TYPE_CHECKING:
    from platform_iac.spec.site import Site as AnySite

    AnyFabric: TypeAlias = Any
    AnyStorage: TypeAlias = Any
    AnyScheduler: TypeAlias = Any
    AnyService: TypeAlias = Any
else:
    AnySite = Annotated[Any, KindOf("site")]
    AnyFabric = Annotated[Any, KindOf("fabric")]
    AnyStorage = Annotated[Any, KindOf("storage")]
    AnyScheduler = Annotated[Any, KindOf("scheduler")]
    AnyService = Annotated[Any, KindOf("service")]

Duty = Literal["mirror", "controller", "login", "compute", "services", "storage", "manager", "edge", "workstation"]


class Pool(Model):
    """Hosts of one duty and one hardware at one site; without sites only the fabric can be planned."""

    site: SiteName | None = setting(None, impact="replace", description="The site where the hosts are.")
    duty: Duty = setting(impact="reimage", description="What the hosts are for; `manager` manages the fabric.")
    hosts: Hostlist = setting(impact="none", description="Host names in Slurm's short form: `gpu[001-031]`.")
    addresses: IPv4 | None = setting(
        None, impact="replace", description="Address of the first host; the others follow one by one, in order."
    )
    hardware: HardwareChoice = setting(
        Choice(),
        impact="drain",
        description="A machine of the catalog, or a map with what differs: `{like: dgx-h100, memory_gib: 1024}`.",
    )

    @field_validator("site", "addresses")
    @classmethod
    def _placed(cls, value: str | None, info: ValidationInfo) -> str | None:
        """Where the spec has sites, every pool is at one and has addresses there."""
        if value is None and (info.context or {}).get("sites"):
            what = (cls.model_fields[str(info.field_name)].description or "").rstrip(".")
            raise wrong(f"this is missing — add it: {what}")
        return value

    @cached_property
    def names(self) -> tuple[str, ...]:
        """Host names, in order."""
        return expand(self.hosts)

    def addressed(self) -> list[tuple[str, str]]:
        """Return (name, address) of every host, in order; addresses are empty where the pool names none."""
        if self.addresses is None:
            return [(name, "") for name in self.names]
        first = IPv4Address(self.addresses)
        return [(name, str(first + offset)) for offset, name in enumerate(self.names)]

    def resolved_hardware(self) -> Hardware:
        """Return the catalog's machine with this pool's changes."""
        return self.hardware.resolved()


class Member(Model):
    """A person, by the account they have on every host."""

    uid: Uid = setting(impact="forbidden", description="Numeric id, the same on every host; files belong to it.")
    authorized_keys: tuple[PublicKey, ...] = setting(
        (), impact="reconfigure", description="SSH public keys that may log in as this person."
    )


class Team(Model):
    """People who share a queue's fair share and its limits."""

    share: Annotated[int, Field(ge=1, le=1_000_000)] = setting(
        1, impact="reconfigure", description="Fair share against the other teams; only the ratio counts."
    )
    gpus: Annotated[int, Field(ge=0, le=1_000_000)] | None = setting(
        None, impact="reconfigure", description="Most GPUs the team may use at once; left out, there is no limit."
    )
    members: dict[UserName, Member] = setting(
        default_factory=dict, impact="reconfigure", description="The people of the team, by account."
    )


class Promotion(Model):
    """How a release comes into this environment."""

    after: Label | None = setting(
        None, impact="none", description="The stack one environment below, where the same release must have passed."
    )
    may_differ: Annotated[
        tuple[Annotated[str, Field(max_length=200, pattern=r"^[A-Za-z0-9_.*\[\]-]+$")], ...], Field(max_length=200)
    ] = setting((), impact="none", description="Fields in which it may differ from that stack, as in `pools.*.hosts`.")
    approvals: Annotated[int, Field(ge=0, le=10)] = setting(
        0, impact="none", description="How many other people must approve a release first."
    )


class Platform(Model):
    """One platform: where it is, what it is made of, what runs on it and who may use it."""

    apiVersion: Literal["platform-iac/v1"] = setting(impact="none", description="The version of this language.")  # noqa: N815
    name: Label = setting(impact="forbidden", description="The platform's name, for clusters and accounts too.")
    description: SafeText = setting("", impact="none", description="One line for people.")
    environment: Label = setting("development", impact="none", description="development, staging, production, …")
    promotion: Promotion | None = setting(
        None, impact="none", description="Where releases come from, and who must approve them."
    )
    prices: Prices | None = setting(
        None, impact="none", description="What hardware costs, for the cost of a change in reviews and its ceiling."
    )
    sites: dict[Label, AnySite] = setting(
        default_factory=dict, impact="replace", description="Places with machines; more than one is a hybrid platform."
    )
    pools: dict[Label, Pool] = setting(default_factory=dict, impact="drain", description="The hosts, by duty.")
    fabric: AnyFabric | None = setting(None, impact="drain", description="The network between the compute hosts.")
    storage: dict[Label, AnyStorage] = setting(default_factory=dict, impact="drain", description="Shared file systems.")
    scheduler: AnyScheduler | None = setting(None, impact="restart", description="What gives jobs their nodes.")
    services: dict[Label, AnyService] = setting(
        default_factory=dict, impact="restart", description="What runs beside the jobs: MLflow, monitoring, …"
    )
    teams: dict[Label, Team] = setting(default_factory=dict, impact="reconfigure", description="Who may use it.")
