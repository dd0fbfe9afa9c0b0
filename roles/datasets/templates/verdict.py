"""Run as the member who retrains, in the platform's Python: `verdict.py open` or `close`, what about on stdin.

`open` makes the run in MLflow before its job. `close` judges it by its metric, writes the verdict as tags,
and moves the model's alias only where it passed. Each answers with one line of JSON.
"""

import json
import sys

from mlflow import MlflowClient


def main():
    """Answer on stdout."""
    about = json.load(sys.stdin)
    print(json.dumps({"open": open_run, "close": close_run}[sys.argv[1]](MlflowClient(), about)))


def open_run(client, about):
    """Return the run of a job: the one that was made for it before, or a new one."""
    experiment = client.get_experiment_by_name(about["experiment"])
    number = experiment.experiment_id if experiment else client.create_experiment(about["experiment"])
    job = about["tags"]["dataset.job"]
    found = client.search_runs([number], f"tags.`dataset.job` = '{job}'")
    run = found[0] if found else client.create_run(number, tags=about["tags"], run_name=about["name"])
    return {"run": run.info.run_id}


def close_run(client, about):
    """Return the verdict on a run whose job has ended, after writing it into MLflow."""
    run = client.get_run(about["run"])
    value = run.data.metrics.get(about["metric"])
    reason = judged(about, value)
    model = registered(client, about) if not reason else None
    if not reason and about["model"] and model is None:
        reason = "the job registered no version of model {} in this run".format(about["model"])
    verdict = "rejected" if reason else "passed"
    said = reason or "{} {:.6g}".format(about["metric"], value)
    tags = {
        "dataset.verdict": verdict,
        "dataset.reason": said,
        "slurm.job": about["job"],
        "slurm.state": about["state"],
    }
    for key, text in tags.items():
        client.set_tag(about["run"], key, text)
    if run.info.status not in ("FINISHED", "FAILED", "KILLED"):
        client.set_terminated(about["run"], "FAILED")
    if model is not None:
        client.set_registered_model_alias(about["model"], about["alias"], model.version)
    version = str(model.version) if model is not None else ""
    return {"verdict": verdict, "said": said, "value": value, "state": about["state"], "version": version}


def judged(about, value):
    """Return why a run does not pass; empty where it does."""
    if about["state"] != "COMPLETED":
        return f"job {about['job']} ended as {about['state']}"
    if value is None:
        return f"the run has no metric {about['metric']}"
    if about["at_least"] is not None and not value >= about["at_least"]:
        return "{} {:.6g} is below {:g}".format(about["metric"], value, about["at_least"])
    if about["at_most"] is not None and not value <= about["at_most"]:
        return "{} {:.6g} is above {:g}".format(about["metric"], value, about["at_most"])
    return ""


def registered(client, about):
    """Return the version of the model that the run registered; None where it did not, or none was asked for."""
    if not about["model"]:
        return None
    found = client.search_model_versions(f"name = '{about['model']}'")
    return next((version for version in found if version.run_id == about["run"]), None)


if __name__ == "__main__":
    main()
