"""Load a registered digit classifier from MLflow, judge it on the held-out images and write the accuracy.

The split is train.py's, by the same seed: the model has not seen these images.
"""

from __future__ import annotations

import argparse
import json
import os
from pathlib import Path

import mlflow
from sklearn.datasets import load_digits
from sklearn.metrics import accuracy_score
from sklearn.model_selection import train_test_split
from train import HELD_OUT, MODEL, SEED


def main() -> None:
    """Run as the one task of the job."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("version", type=int, help=f"version of the registered model {MODEL}")
    version = parser.parse_args().version
    model = mlflow.sklearn.load_model(f"models:/{MODEL}/{version}")
    images, labels = load_digits(return_X_y=True)
    _, held_out, _, truth = train_test_split(images, labels, test_size=HELD_OUT, random_state=SEED, stratify=labels)
    accuracy = float(accuracy_score(truth, model.predict(held_out)))
    job = os.environ["SLURM_JOB_ID"]
    mlflow.set_experiment("digits")
    with mlflow.start_run(run_name=f"inference-{job}") as run:
        mlflow.set_tags({"slurm.job": job, "model": f"{MODEL}/{version}"})
        mlflow.log_metrics({"accuracy": accuracy, "images": len(truth)})
    answer = {"accuracy": accuracy, "images": len(truth), "version": version, "run": run.info.run_id}
    Path(f"digits-{job}.json").write_text(json.dumps(answer) + "\n", encoding="utf-8")
    print(json.dumps(answer))  # noqa: T201  the job's log


if __name__ == "__main__":
    main()
