"""The main job: a member trains on two GPU nodes through Slurm, and judges the registered model in a second job."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from platform_iac.checks.slurm_job import Door, JobError, Record, of

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from platform_iac.checks.remote import Remote
    from platform_iac.plan.model import Plan

NODES: Final = 2
LEAST_ACCURACY: Final = 0.9
"""A guess is right in 0.1 of all cases; the model that train.py makes, in 0.96."""

WITHIN_SECONDS: Final = 600.0
MODEL: Final = "digits"

ASK: Final = """
import json, sys
from mlflow import MlflowClient
job, model = sys.argv[1:]
client = MlflowClient()
experiment = client.get_experiment_by_name(model)
found = client.search_runs([experiment.experiment_id], f"tags.`slurm.job` = '{job}'") if experiment else []
versions = {version.run_id: version.version for version in client.search_model_versions(f"name = '{model}'")}
print(json.dumps([{
    "run": run.info.run_id, "status": run.info.status, "params": run.data.params, "metrics": run.data.metrics,
    "tags": {name: value for name, value in run.data.tags.items() if not name.startswith("mlflow.")},
    "epochs": len(client.get_metric_history(run.info.run_id, "held_out_loss")),
    "version": int(versions.get(run.info.run_id, 0)),
} for run in found]))
"""
"""Asks MLflow itself, as the member: what the job says of itself would prove less."""


class TrainingError(RuntimeError):
    """The main job did not do what it must; says at which step and why."""


@dataclass(frozen=True, slots=True)
class Tracked:
    """What MLflow keeps of one run; `version` is that of the model it registered, 0 where none."""

    run: str
    status: str
    params: Mapping[str, str]
    metrics: Mapping[str, float]
    tags: Mapping[str, str]
    epochs: int
    version: int


@dataclass(frozen=True, slots=True)
class Result:
    """What came of the main job. `accuracy` is that of the registered model in the second job."""

    member: str
    training: Record
    tracked: Tracked
    model: str
    version: int
    inference: Record
    accuracy: float


def run(plan: Plan, remote: Remote, progress: Callable[[str], None]) -> Result:
    """Train, register and judge the model as the first member of the plan; `progress` hears of every step.

    Raises:
        TrainingError: a step failed; with the job's log where there is one.
    """
    gpu = accelerator(plan)
    try:
        door = of(plan, remote)
        job = door.submit([f"--gres=gpu:{gpu}:1", f"--nodes={NODES}"], script(plan, "train"))
        progress(f"{door.user} submitted job {job} on {door.login}: training on {NODES} nodes with one {gpu} each")
        training = door.follow(job, progress, within_seconds=WITHIN_SECONDS)
        tracked = ask(door, job)
        progress(f"MLflow has run {tracked.run} and registered {MODEL} version {tracked.version}")
        job = door.submit([f"--gres=gpu:{gpu}:1"], script(plan, "infer"), str(tracked.version))
        progress(f"{door.user} submitted job {job} on {door.login}: judging {MODEL} version {tracked.version}")
        inference = door.follow(job, progress, within_seconds=WITHIN_SECONDS)
        answer = json.loads(door.read(inference, f"{MODEL}-{job}.json"))
    except (JobError, ValueError) as error:
        raise TrainingError(str(error)) from error
    judged(answer, tracked)
    return Result(
        member=door.user,
        training=training,
        tracked=tracked,
        model=MODEL,
        version=tracked.version,
        inference=inference,
        accuracy=float(answer["accuracy"]),
    )


def lacking(plan: Plan, remote: Remote) -> str:
    """Return why this platform could never run the job, empty where it could."""
    try:
        accelerator(plan)
        script(plan, "train")
        of(plan, remote)
    except (JobError, TrainingError) as error:
        return str(error)
    return ""


def script(plan: Plan, name: str) -> str:
    """Return where the example's batch script is on the login hosts."""
    for planned in plan.runs:
        for file in planned.files:
            if file.path.endswith(f"/{MODEL}/{name}.sbatch"):
                return file.path
    raise TrainingError(f"no service brings the example {MODEL}/{name}.sbatch to the logins — add `kind: mlflow`")


def accelerator(plan: Plan) -> str:
    """Return the type of GPU that the most compute hosts have, and at least as many as the job needs."""
    counts: dict[str, int] = {}
    for host in plan.hosts:
        for model in {gpu.model for gpu in host.hardware.gpus} if host.duty == "compute" else ():
            counts[model] = counts.get(model, 0) + 1
    most = max(sorted(counts), key=lambda model: counts[model], default="")
    if counts.get(most, 0) < NODES:
        raise TrainingError(f"the training job needs {NODES} compute hosts with the same type of GPU, found {counts}")
    return most


def ask(door: Door, job: str) -> Tracked:
    """Return what MLflow keeps of a training job.

    Raises:
        TrainingError: MLflow does not answer, or the run is not as the job should have left it.
    """
    words = ["bash", "-c", 'exec "$PLATFORM_PYTHON" - "$@"', "ask", job, MODEL]
    done = door.remote(door.login, words, user=door.user, stdin=ASK, timeout_seconds=180)
    if done.rc != 0:
        raise TrainingError(f"MLflow did not tell {door.user} on {door.login} about job {job}: {done.said}")
    found: list[dict[str, Any]] = json.loads(done.out)
    if len(found) != 1:
        raise TrainingError(f"MLflow has {len(found)} runs of job {job} instead of one")
    tracked = Tracked(**found[0])
    wrong = [
        *([f"status {tracked.status}"] if tracked.status != "FINISHED" else []),
        *(["no model version"] if tracked.version == 0 else []),
        *([f"{tracked.epochs} epochs"] if str(tracked.epochs) != tracked.params.get("epochs") else []),
        *([f"{tracked.params.get('ranks')} ranks"] if tracked.params.get("ranks") != str(NODES) else []),
        *(["no accuracy"] if "accuracy" not in tracked.metrics else []),
    ]
    if wrong:
        raise TrainingError(f"MLflow's run {tracked.run} of job {job} has {', '.join(wrong)}")
    return tracked


def judged(answer: Mapping[str, Any], tracked: Tracked) -> None:
    """Return when the second job found what the first one promised.

    Raises:
        TrainingError: the loaded model is another one, or is not good enough.
    """
    accuracy, promised = float(answer["accuracy"]), tracked.metrics["accuracy"]
    if accuracy < LEAST_ACCURACY:
        raise TrainingError(
            f"{MODEL} version {tracked.version} is right in {accuracy:.1%}, expected {LEAST_ACCURACY:.0%}"
        )
    if abs(accuracy - promised) > 0.01:
        raise TrainingError(f"the registered model is right in {accuracy:.1%}, the trained one was in {promised:.1%}")
