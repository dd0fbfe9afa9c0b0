"""What kinds of storage that hosts mount have in common: where it is mounted, whose it is, and what waits for it."""

from __future__ import annotations

import re
from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Final, Literal, Self
from uuid import NAMESPACE_URL, uuid5
from zlib import crc32

from pydantic import AfterValidator, Field, model_validator

from platform_iac.kinds.storage._floors import Floors
from platform_iac.plan.context import PlanError
from platform_iac.spec.base import Model, setting
from platform_iac.spec.types import AbsolutePath, TeamName, wrong

if TYPE_CHECKING:
    from collections.abc import Mapping

    from platform_iac.plan.context import Context
    from platform_iac.plan.model import File, Host

HOMES: Final = "/home"
"""Where accounts have their homes (useradd's default, which the role `base` leaves as it is)."""

JOBS: Final = ".jobs"
"""The folder of a node's scratch in which each job has its own."""

WAITING: Final = ("mlflow_client", "slurm_login", "slurm_node")
"""Runs that come after the mounts, so that nothing is ever written below a mount point that is still empty."""

_SYSTEM = re.compile(r"/(bin|boot|dev|etc|lib|lib64|opt/platform|proc|root|run|sbin|sys|tmp|usr|var)(/.*)?")

Gib = Annotated[int, Field(ge=1, le=1_073_741_824)]
Duty = Literal["controller", "login", "compute", "services", "edge", "workstation"]
Purpose = Literal["home", "datasets", "scratch", "project", "software"]

LOCAL: Final = ("xfs",)
"""Types of a node's own disks."""

MODES: Final[Mapping[str, str]] = {"home": "0700", "scratch": "0700"}
"""Mode of a member's folder where only they may read; elsewhere everyone may, and only they write."""


def _mount_point(path: str) -> str:
    if _SYSTEM.fullmatch(path):
        raise wrong(f"{path} belongs to the operating system — mount at /home, /datasets, /scratch or the like")
    return path


MountPoint = Annotated[AbsolutePath, AfterValidator(_mount_point)]


@dataclass(frozen=True, slots=True)
class Mount:
    """A file system that a host must have mounted; `types` as /proc/mounts has them."""

    path: str
    purpose: str
    types: tuple[str, ...]


class Mounted(Model, ABC):
    """Storage of any kind that some hosts mount."""

    @abstractmethod
    def mounted(self, host: Host, context: Context) -> tuple[Mount, ...]:
        """Return what this host mounts of it."""

    @property
    @abstractmethod
    def measured(self) -> bool:
        """Whether `platform-iac check storage` measures some of it, by jobs."""


class FileSystem(Model):
    """One file system that hosts share: where, what for, and how much of it each team may fill."""

    mount: MountPoint = setting(impact="drain", description="Where hosts mount it: `/home`, `/datasets`, …")
    purpose: Purpose = setting(
        impact="forbidden",
        description="What it is for. `home` and `scratch` folders are private; in the others everyone may read.",
    )
    quotas_gib: dict[TeamName, Gib] = setting(
        default_factory=dict,
        impact="reconfigure",
        description="Most that each team's members may keep in it together, in GiB; a team left out has no limit.",
    )
    floors: Floors | None = setting(
        None, impact="none", description="How fast it must be: what `platform-iac check storage` asks for."
    )

    @model_validator(mode="after")
    def _homes_are_where_accounts_have_them(self) -> Self:
        if self.purpose == "home" and self.mount != HOMES:
            raise wrong(f"homes are mounted at {self.mount}, but accounts have theirs in {HOMES} — mount them there")
        if self.mount == HOMES and self.purpose != "home":
            raise wrong(f"{HOMES} has `purpose: {self.purpose}` — write `purpose: home`, or mount it elsewhere")
        return self


class Shared(Mounted, FileSystem):
    """One shared file system: the beginning of the `Spec` of its kind."""

    mounted_by: tuple[Duty, ...] = setting(
        ("login", "compute"), min_length=1, impact="drain", description="Duties whose hosts mount it."
    )

    @property
    def measured(self) -> bool:
        """Whether it has floors."""
        return self.floors is not None

    def clients(self, context: Context) -> tuple[Host, ...]:
        """Return the hosts that mount it."""
        return context.with_duty(*self.mounted_by)


def mounts_of(host: Host, context: Context) -> tuple[Mount, ...]:
    """Return every file system of the platform's storage that a host mounts, by path."""
    parts = (part for part in context.spec.storage.values() if isinstance(part, Mounted))
    found = (mount for part in parts for mount in part.mounted(host, context))
    return tuple(sorted(found, key=lambda mount: mount.path))


def measured(context: Context) -> bool:
    """Tell whether any storage is measured by jobs, which need fio for it."""
    return any(isinstance(part, Mounted) and part.measured for part in context.spec.storage.values())


def has_shared_homes(host: Host, context: Context) -> bool:
    """Tell whether people's homes on this host come from shared storage, which makes them itself."""
    return any(mount.path == HOMES for mount in mounts_of(host, context))


def jobs_folder(host: Host, context: Context) -> str:
    """Return where jobs on this host have their own folders: on its scratch, or on the system's disk."""
    scratch = (mount.path for mount in mounts_of(host, context) if mount.types == LOCAL)
    return next((f"{path}/{JOBS}" for path in scratch), "/var/lib/platform-iac/jobs")


def no_place_twice(context: Context) -> None:
    """Refuse two storages at one mount point of a host.

    Raises:
        PlanError: names the path.
    """
    for host in context.hosts:
        paths = [mount.path for mount in mounts_of(host, context)]
        for path in paths:
            if paths.count(path) > 1:
                raise PlanError(f"storage: {host.name} has two file systems at {path} — give one another `mount`")


def unit_of(path: str) -> str:
    """Return the name of the unit that mounts a path (systemd-escape --path --suffix=mount)."""
    escaped = re.sub(r"[^A-Za-z0-9:_.]", lambda found: rf"\x{ord(found[0]):02x}", path.strip("/").replace("/", "\0"))
    return escaped.replace(r"\x00", "-") + ".mount"


def identity(context: Context, *words: str) -> str:
    """Return a UUID that is always the same for the same thing of a platform.

    Arrays and file systems bear it, so that a role knows its own disks and refuses all others.
    """
    return str(uuid5(NAMESPACE_URL, "platform-iac:" + "/".join((context.spec.name, *words))))


def number(*words: str) -> int:
    """Return a number for a project of XFS that never changes: from 10,000 to 2^30."""
    return 10_000 + crc32("/".join(words).encode()) % (2**30 - 10_000)


def split(by_host: Mapping[str, tuple[File, ...]]) -> tuple[tuple[File, ...], dict[str, tuple[File, ...]]]:
    """Return the files that all hosts share, and what each has besides, both by path."""
    if not by_host:
        return (), {}
    every = [set(files) for files in by_host.values()]
    common = set.intersection(*every)
    own = {host: tuple(sorted(set(files) - common, key=_path)) for host, files in by_host.items()}
    return tuple(sorted(common, key=_path)), {host: files for host, files in own.items() if files}


def _path(file: File) -> str:
    return file.path
