"""Train a digit classifier on several nodes at once and register it in MLflow.

Every rank (one Slurm task) fits its own shard of scikit-learn's digits for one pass, then all ranks
take the average of their weights: data-parallel training with synchronous averaging. Rank 0 keeps
the ranks in step over TCP, logs to MLflow and registers the model `digits`.

Started by `srun` from train.sbatch, which sets DIGITS_HOST, DIGITS_PORT and DIGITS_KEY.
"""

from __future__ import annotations

import argparse
import errno
import os
import socket
import time
from multiprocessing.connection import Client, Connection, Listener
from pathlib import Path

import mlflow
import numpy as np
from mlflow import MlflowClient
from mlflow.entities import Metric
from mlflow.models import infer_signature
from sklearn.datasets import load_digits
from sklearn.metrics import log_loss
from sklearn.model_selection import train_test_split
from sklearn.neural_network import MLPClassifier
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import MinMaxScaler

MODEL = "digits"
HELD_OUT = 0.25
SEED = 20260
CONNECT_SECONDS = 60
TRUSTED = ["sklearn.neural_network._stochastic_optimizers.AdamOptimizer"]  # in the model's file, which is no pickle
Weights = list[np.ndarray]


def main() -> None:
    """Run as one rank of the job."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--epochs", type=int, default=30)
    parser.add_argument("--hidden", type=int, default=64, help="neurons of the hidden layer")
    parser.add_argument("--learning-rate", type=float, default=0.005)
    chosen = parser.parse_args()
    rank, size = int(os.environ["SLURM_PROCID"]), int(os.environ["SLURM_NTASKS"])
    gpus = my_gpus()
    print(f"rank {rank} of {size} on {socket.gethostname()} with {', '.join(gpus)}", flush=True)  # noqa: T201  the job's log
    ring = Leader(size) if rank == 0 else Follower()
    described = ring.gather(f"{socket.gethostname()}:{','.join(gpus)}")
    if rank == 0:
        lead(ring, chosen, size, described)
    else:
        fit(ring, chosen, rank, size, [])
    ring.close()


def my_gpus() -> list[str]:
    """Return the GPU devices that this task may open.

    Raises:
        RuntimeError: they are not as many as Slurm says it gave to the job on this node.
    """
    promised = int(os.environ["SLURM_GPUS_ON_NODE"])
    allowed = [str(path) for path in sorted(Path("/dev").glob("nvidia[0-9]*")) if may_open(path)]
    if len(allowed) != promised:
        raise RuntimeError(f"Slurm gave this job {promised} GPU(s) here, but it may open {allowed or 'none'}")
    return allowed


def may_open(device: Path) -> bool:
    """Tell whether the device cgroup lets this task in; a simulated GPU is let in and then is not there."""
    try:
        os.close(os.open(device, os.O_RDWR))
    except OSError as error:
        return error.errno == errno.ENXIO
    return True


def lead(ring: Leader, chosen: argparse.Namespace, size: int, described: list[str]) -> None:
    """Train as rank 0, log the run and register the model."""
    mlflow.set_experiment("digits")
    with mlflow.start_run(run_name=f"job-{os.environ['SLURM_JOB_ID']}") as run:
        mlflow.set_tags({"slurm.job": os.environ["SLURM_JOB_ID"], "slurm.ranks": " ".join(described)})
        mlflow.log_params({**vars(chosen), "ranks": size, "held_out": HELD_OUT, "seed": SEED})
        started = time.monotonic()
        history: list[Metric] = []
        model = fit(ring, chosen, 0, size, history)
        MlflowClient().log_batch(run.info.run_id, metrics=history)
        _, held_out, _, truth = split()
        accuracy = float(model.score(held_out, truth))
        mlflow.log_metrics({"accuracy": accuracy, "training_seconds": time.monotonic() - started})
        signature = infer_signature(held_out, model.predict(held_out))
        logged = mlflow.sklearn.log_model(
            model, name="model", signature=signature, registered_model_name=MODEL, skops_trusted_types=TRUSTED
        )
        print(f"run {run.info.run_id} model {MODEL}/{logged.registered_model_version} accuracy {accuracy:.4f}")  # noqa: T201  the job's log


def split() -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Return (training images, held-out images, training labels, held-out labels), the same in every process."""
    images, labels = load_digits(return_X_y=True)
    parts = train_test_split(images, labels, test_size=HELD_OUT, random_state=SEED, stratify=labels)
    return parts[0], parts[1], parts[2], parts[3]


def fit(ring: Leader | Follower, chosen: argparse.Namespace, rank: int, size: int, history: list[Metric]) -> Pipeline:
    """Fit this rank's shard pass by pass, averaging with the others; return the model, scaler included.

    Rank 0 adds what each pass came to on the held-out images to `history`.
    """
    images, held_out, labels, truth = split()
    scaler = MinMaxScaler().fit(images)
    network = MLPClassifier((chosen.hidden,), learning_rate_init=chosen.learning_rate, random_state=SEED)
    classes = np.unique(labels)
    model = make_pipeline(scaler, network)
    mine, answers = scaler.transform(images[rank::size]), labels[rank::size]
    for epoch in range(1, chosen.epochs + 1):
        network.partial_fit(mine, answers, classes=classes)
        layers = len(network.coefs_)
        weights = ring.average([*network.coefs_, *network.intercepts_])
        network.coefs_, network.intercepts_ = weights[:layers], weights[layers:]
        if rank == 0:
            loss = log_loss(truth, model.predict_proba(held_out))
            now = time.time_ns() // 1_000_000
            history.append(Metric("held_out_loss", float(loss), now, epoch))
            history.append(Metric("held_out_accuracy", float(model.score(held_out, truth)), now, epoch))
    return model


class Leader:
    """Rank 0: hears every other rank, answers all of them with the same thing."""

    def __init__(self, size: int) -> None:
        address = ("", int(os.environ["DIGITS_PORT"]))
        with Listener(address, backlog=size, authkey=os.environ["DIGITS_KEY"].encode()) as listener:
            self._others: list[Connection] = [listener.accept() for _ in range(size - 1)]

    def gather(self, own: str) -> list[str]:
        """Return what every rank says, sorted."""
        return sorted([own, *(other.recv() for other in self._others)])

    def average(self, own: Weights) -> Weights:
        """Return the mean of all ranks' weights, to all of them."""
        sets = [own, *(other.recv() for other in self._others)]
        mean = [np.mean(same, axis=0) for same in zip(*sets, strict=True)]
        for other in self._others:
            other.send(mean)
        return mean

    def close(self) -> None:
        """Let the others go."""
        for other in self._others:
            other.close()


class Follower:
    """Every other rank: tells rank 0, takes what it answers."""

    def __init__(self) -> None:
        address = (os.environ["DIGITS_HOST"], int(os.environ["DIGITS_PORT"]))
        deadline = time.monotonic() + CONNECT_SECONDS
        while True:
            try:
                self._leader: Connection = Client(address, authkey=os.environ["DIGITS_KEY"].encode())
                return
            except OSError:
                if time.monotonic() > deadline:
                    raise
                time.sleep(0.2)

    def gather(self, own: str) -> list[str]:
        """Tell rank 0; only rank 0 learns of all."""
        self._leader.send(own)
        return []

    def average(self, own: Weights) -> Weights:
        """Return the mean of all ranks' weights."""
        self._leader.send(own)
        mean: Weights = self._leader.recv()
        return mean

    def close(self) -> None:
        """Hang up."""
        self._leader.close()


if __name__ == "__main__":
    main()
