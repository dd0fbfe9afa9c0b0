"""Train a digit classifier on a version of a dataset, in the run that the platform has made for it.

The platform gives DATASET_NAME, DATASET_VERSION, DATASET_PATH, DATASET_SHA256 and MODEL_NAME, and MLflow's
client finds experiment and run by itself (MLFLOW_EXPERIMENT_NAME, MLFLOW_RUN_ID).
"""

from __future__ import annotations

import os
from pathlib import Path

import mlflow
import pandas as pd
from mlflow.models import infer_signature
from sklearn.model_selection import train_test_split
from sklearn.neural_network import MLPClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import MinMaxScaler

HELD_OUT = 0.25
SEED = 20260
TRUSTED = ["sklearn.neural_network._stochastic_optimizers.AdamOptimizer"]  # in the model's file, which is no pickle


def main() -> None:
    """Run as the one task of the job."""
    path = Path(os.environ["DATASET_PATH"]) / "digits.csv.gz"
    table = pd.read_csv(path, header=None, dtype=float)  # 64 grey values of a scanned digit, and which one it is
    images, labels = table.iloc[:, :-1].to_numpy(), table.iloc[:, -1].to_numpy(dtype=int)
    training, held_out, answers, truth = train_test_split(
        images, labels, test_size=HELD_OUT, random_state=SEED, stratify=labels
    )
    with mlflow.start_run() as run:
        given = mlflow.data.from_pandas(
            table.rename(columns=str), source=str(path), name=os.environ["DATASET_NAME"], digest=digest()
        )
        mlflow.log_input(given, context="training")
        mlflow.log_params({"held_out": HELD_OUT, "seed": SEED, "images": len(training)})
        model = make_pipeline(MinMaxScaler(), MLPClassifier((64,), max_iter=60, random_state=SEED))
        model.fit(training, answers)
        accuracy = float(model.score(held_out, truth))
        mlflow.log_metric("accuracy", accuracy)
        mlflow.sklearn.log_model(
            model,
            name="model",
            signature=infer_signature(held_out, model.predict(held_out)),
            registered_model_name=os.environ["MODEL_NAME"],
            skops_trusted_types=TRUSTED,
        )
        print(f"run {run.info.run_id} accuracy {accuracy:.4f}")  # noqa: T201  the job's log


def digest() -> str:
    """Return the beginning of the manifest's SHA-256: MLflow shows 36 characters at most."""
    return os.environ["DATASET_SHA256"][:16]


if __name__ == "__main__":
    main()
