"""The role run `datasets`: one host with rclone, and for each dataset its file and its unit."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Final

from platform_iac.kinds.service.datasets import places, rules
from platform_iac.plan.model import File, Part, Run, Unit
from platform_iac.plan.render import render
from platform_iac.spec.types import wall_seconds

if TYPE_CHECKING:
    from collections.abc import Mapping

    from platform_iac.kinds.service.datasets.places import Remote
    from platform_iac.kinds.service.datasets.spec import Dataset, Retrain, Spec
    from platform_iac.plan.context import Context

ETC: Final = "/etc/platform-iac/datasets"
PROGRAM: Final = "/usr/local/libexec/platform-iac/datasets"
MODULES: Final = ("__main__.py", "files.py", "moves.py", "retrain.py", "verdict.py")
UNITS: Final = ("platform-dataset@.service", "platform-dataset-scrub@.service", "platform-dataset-scrub@.timer")
COMMAND: Final = ("/usr/bin/python3", "-B", PROGRAM)
"""`-B`: what Python compiles would stay behind when the role goes."""
GIB: Final = 2**30

AFTER: Final = ("ceph_client", "mlflow_client", "nfs_client", "slurm_login", "slurm_node")
"""Runs that bring what a move or a retraining needs."""


def unit(label: str) -> str:
    """Return the unit that brings a dataset and retrains."""
    return f"platform-dataset@{label}.service"


def plan(name: str, spec: Spec, context: Context) -> Part:
    """Return the run `datasets`."""
    host = rules.mover(name, spec, context)
    mounts = rules.mounts(name, spec, host, context)
    slurm = context.spec.scheduler is not None and context.spec.scheduler.kind == "slurm" and host.duty == "login"
    remotes: dict[str, Remote] = {}
    files = [File(path=f"{PROGRAM}/{module}", content=render("datasets", module)) for module in MODULES]
    files += [
        File(path=f"/etc/systemd/system/{each}", content=render("datasets", each, command=COMMAND)) for each in UNITS
    ]
    for label, dataset in sorted(spec.sets.items()):
        own = _remotes(name, label, dataset, context)
        remotes |= own
        text = json.dumps(_declared(label, dataset, mounts[label], own, slurm=slurm), indent=1) + "\n"
        sections = {name: remote.section for name, remote in sorted(own.items()) if remote.section}
        config = render("datasets", "rclone.conf.j2", sections=sections)
        files += [
            File(path=f"{ETC}/{label}.json", content=text),
            File(path=f"{ETC}/{label}.rclone.conf", content=config, mode="0600"),
        ]
    return Part(
        runs=(
            Run(
                name="datasets",
                role="datasets",
                hosts=(host.name,),
                packages=("rclone",),
                files=tuple(sorted(files, key=lambda file: file.path)),
                units=tuple(each for label in sorted(spec.sets) for each in _units(label)),
                vars={"sets": tuple(sorted(spec.sets)), "command": COMMAND},
                secrets=tuple(sorted({secret for remote in remotes.values() for secret in remote.secrets})),
                needs=tuple(sorted({"base", *(need for remote in remotes.values() for need in remote.needs)})),
                after=AFTER,
            ),
        ),
    )


def _units(label: str) -> tuple[Unit, ...]:
    """What is declared of a dataset restarts its unit; changed programs are taken by the next start."""
    about = (f"{ETC}/{label}.json", f"{ETC}/{label}.rclone.conf")
    return (Unit(name=unit(label), restart_on=about), Unit(name=f"platform-dataset-scrub@{label}.timer"))


def _remotes(name: str, label: str, dataset: Dataset, context: Context) -> dict[str, Remote]:
    asked_by = f"service `{name}`: set `{label}`"
    found = {f"{label}.source": places.remote(f"{label}.source", dataset.source, context, asked_by=asked_by)}
    for copy, place in sorted(dataset.copies.items()):
        found[f"{label}.to.{copy}"] = places.remote(f"{label}.to.{copy}", place, context, asked_by=asked_by)
    return found


def _declared(
    label: str, dataset: Dataset, mount: str, remotes: Mapping[str, Remote], *, slurm: bool
) -> dict[str, Any]:
    """What the programs on the host are told of a dataset."""
    source = remotes[f"{label}.source"].address
    return {
        "name": label,
        "version": dataset.version,
        "owner": dataset.owner,
        "mount": mount,
        "folder": f"{mount}/{dataset.owner}/{label}",
        "size_bytes": int(dataset.size_gib * GIB),
        "keep_versions": dataset.keep_versions,
        "keep": sorted(dataset.keep),
        "source": f"{source}/{dataset.version}" if dataset.versioned else source,
        "manifests": source if dataset.versioned else "",
        "only": list(dataset.only),
        "sha256": dataset.sha256 or "",
        "config": f"{ETC}/{label}.rclone.conf",
        "bandwidth_mib": dataset.bandwidth_mib or 0,
        "copies": {copy: remotes[f"{label}.to.{copy}"].address for copy in sorted(dataset.copies)},
        "slurm": slurm,
        "retrain": _retrain(label, dataset.retrain) if dataset.retrain else None,
    }


def _retrain(label: str, retrain: Retrain) -> dict[str, Any]:
    return {
        "script": retrain.script,
        "member": retrain.member,
        "partition": retrain.partition or "",
        "gpus": retrain.gpus,
        "max_seconds": wall_seconds(retrain.max_time),
        "experiment": label,
        "metric": retrain.validated_by.metric,
        "at_least": retrain.validated_by.at_least,
        "at_most": retrain.validated_by.at_most,
        "model": retrain.model or "",
        "alias": retrain.alias,
    }
