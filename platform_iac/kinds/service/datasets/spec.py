"""What people write about datasets."""

from __future__ import annotations

import re
from typing import Annotated, Literal, Self

from pydantic import AfterValidator, Field, model_validator

from platform_iac.kinds.service.datasets.places import Place
from platform_iac.spec.base import Model, setting
from platform_iac.spec.types import AbsolutePath, Label, PoolName, TeamName, UserName, WallTime, wrong

_VERSION = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,62}")
_GLOB = re.compile(r"/?[A-Za-z0-9_*][A-Za-z0-9._+*-]*(/[A-Za-z0-9_*][A-Za-z0-9._+*-]*)*")
_METRIC = re.compile(r"[A-Za-z_][A-Za-z0-9_./ -]{0,99}")
_SHA256 = re.compile(r"[0-9a-f]{64}")


def _version(text: str) -> str:
    if _VERSION.fullmatch(text) is None:
        raise wrong(f"{text[:80]!r} is no version — use up to 63 of a-z, A-Z, 0-9, . _ and -, as in 2026.1")
    if text == "current" or text.endswith(".sha256"):
        raise wrong(f"{text!r} is the name of something else beside the versions — choose another")
    return text


def _glob(text: str) -> str:
    if _GLOB.fullmatch(text) is None:
        raise wrong(f"{text[:80]!r} is no pattern of files — use names with * and /, as in train/*.parquet")
    return text


def _metric(text: str) -> str:
    if _METRIC.fullmatch(text) is None:
        raise wrong(f"{text[:80]!r} is no metric of MLflow — use letters, digits, spaces and _ . / -")
    return text


def _sha256(text: str) -> str:
    if _SHA256.fullmatch(text) is None:
        raise wrong(f"{text[:80]!r} is no SHA-256 — paste the 64 digits that `sha256sum` prints of the manifest")
    return text


Version = Annotated[str, AfterValidator(_version)]
Glob = Annotated[str, Field(max_length=200), AfterValidator(_glob)]
Metric = Annotated[str, AfterValidator(_metric)]
Sha256 = Annotated[str, AfterValidator(_sha256)]


class Validate(Model):
    """What a retrained model must reach, as its run in MLflow says."""

    metric: Metric = setting(impact="reconfigure", description="The metric that the run logs.")
    at_least: float | None = setting(None, impact="reconfigure", description="It must not be below this.")
    at_most: float | None = setting(None, impact="reconfigure", description="It must not be above this.")

    @model_validator(mode="after")
    def _bounded(self) -> Self:
        if self.at_least is None and self.at_most is None:
            raise wrong("there is neither `at_least` nor `at_most` — say what the metric must reach")
        return self


class Retrain(Model):
    """The job that a new version starts, once: as a member, through the scheduler, with its run in MLflow."""

    script: AbsolutePath = setting(
        impact="reconfigure", description="Batch script on the host that moves; docs/data.md says what it is given."
    )
    member: UserName = setting(impact="reconfigure", description="Member of the owning team who submits it.")
    validated_by: Validate = setting(impact="reconfigure", description="What its model must reach.")
    partition: Label | None = setting(
        None, impact="reconfigure", description="Partition of the job; left out, the default one."
    )
    gpus: Annotated[int, Field(ge=0, le=64)] = setting(
        1, impact="reconfigure", description="GPUs of each node of the job."
    )
    max_time: WallTime = setting("0-04:00:00", impact="reconfigure", description="Longest that the job may run.")
    model: Label | None = setting(
        None,
        impact="reconfigure",
        description="Model that the job registers in MLflow; the version that passes gets the alias.",
    )
    alias: Label = setting("validated", impact="reconfigure", description="The alias of the last version that passed.")


class Dataset(Model):
    """One dataset: which version people get, whose it is, where it comes from, and how much of it is kept."""

    version: Version = setting(impact="reconfigure", description="The version that becomes `current`.")
    owner: TeamName = setting(
        impact="forbidden", description="The team that answers for it; it counts against the team's quota."
    )
    size_gib: Annotated[float, Field(gt=0, le=1_073_741_824)] = setting(
        impact="reconfigure", description="Most that one version may take; a bigger one is not fetched."
    )
    keep_versions: Annotated[int, Field(ge=1, le=1000)] = setting(
        2, impact="reconfigure", description="How many versions are kept, the newest, `current` among them."
    )
    keep: tuple[Version, ...] = setting(
        (), impact="reconfigure", description="Versions that are kept besides, as those a model in use was made from."
    )
    mount: AbsolutePath | None = setting(
        None, impact="replace", description="Mount of shared storage; left out, the one with `purpose: datasets`."
    )
    source: Place = setting(impact="reconfigure", description="Where versions come from.")
    versioned: bool = setting(
        default=True,
        impact="reconfigure",
        description="Whether the source has a folder for each version, called like it; else it is the version itself.",
    )
    only: tuple[Glob, ...] = setting(
        (), impact="reconfigure", description="Files of the source that belong to it, as patterns; left out, all."
    )
    sha256: Sha256 | None = setting(
        None, impact="reconfigure", description="SHA-256 of the version's manifest: what arrives must be exactly this."
    )
    bandwidth_mib: Annotated[int, Field(ge=1, le=1_048_576)] | None = setting(
        None, impact="reconfigure", description="Most MiB per second that a move takes."
    )
    copies: dict[Label, Place] = setting(
        default_factory=dict, impact="reconfigure", description="Where each version is also brought to, by name."
    )
    retrain: Retrain | None = setting(
        None, impact="reconfigure", description="The job that each new version starts; left out, there is none."
    )


class Spec(Model):
    """Versioned datasets, and the host that moves them."""

    kind: Literal["datasets"] = setting(impact="replace", description="Versioned datasets on shared storage.")
    runs_on: PoolName | None = setting(
        None,
        impact="replace",
        description="Pool whose first host moves and retrains; left out, the first with `duty: login`.",
    )
    sets: dict[Label, Dataset] = setting(min_length=1, impact="reconfigure", description="The datasets by name.")

    @property
    def holds_state(self) -> bool:
        """Never: datasets stay on their storage."""
        return False
