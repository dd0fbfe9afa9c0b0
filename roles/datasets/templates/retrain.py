"""The job that a new version starts, once: submitted as a member, followed to its end, judged in MLflow.

The run in MLflow is made before the job, so that a job that never came so far has one too; the job finds
it in MLFLOW_RUN_ID. What is known is remembered step by step: killed, the next start goes on with the same
run and the same job.
"""

import hashlib
import json
import shlex
import subprocess
import time
from pathlib import Path

from files import DatasetError, RefusedError, sha256

POLL_SECONDS = 5
ASK_SECONDS = 300
PENDING_SECONDS = 7 * 86400
"""Longest that a job may wait for its nodes."""

UNFINISHED = {"", "PENDING", "REQUEUED", "RESIZING", "RUNNING", "SUSPENDED"}
"""States of a job that may still end well (sacct, "JOB STATE CODES"); empty: accounting has not heard of it yet."""

VERDICT = str(Path(__file__).resolve().with_name("verdict.py"))


def identity(declared, text, attempt):
    """Return what tells one retraining from another: the version's content, what was asked of it, the attempt."""
    what = json.dumps([sha256(text), declared["retrain"], attempt], sort_keys=True)
    return hashlib.sha256(what.encode()).hexdigest()[:12]


def outcome(declared, folder):
    """Return what is known of the retraining of the declared version, as it is declared now; empty where nothing."""
    known = folder.recall("retrain-" + declared["version"])
    text = folder.text(declared["version"])
    return known if known.get("identity") == identity(declared, text, known.get("attempt", 0)) else {}


def again(declared, folder):
    """Forget how the retraining of the declared version ended, so that it is done anew."""
    known = folder.recall("retrain-" + declared["version"])
    attempt = known.get("attempt", 0) + 1
    fresh = {"attempt": attempt, "identity": identity(declared, folder.text(declared["version"]), attempt)}
    folder.remember("retrain-" + declared["version"], fresh)


def retrain(declared, folder):
    """Retrain on the declared version unless that was done, and return how it ended.

    Raises:
        RefusedError: Slurm does not take the job as it is declared.
        DatasetError: Slurm or MLflow did not answer, or the job did not end in time.
    """
    version, text, wanted = declared["version"], folder.text(declared["version"]), declared["retrain"]
    known = outcome(declared, folder) or {"attempt": 0, "identity": identity(declared, text, 0)}

    def keep(**more):
        known.update(more)
        folder.remember("retrain-" + version, known)

    if "verdict" in known:
        return known
    name = f"dataset-{declared['name']}-{version}-{known['identity']}"
    if "run" not in known:
        tags = {
            "dataset.name": declared["name"],
            "dataset.version": version,
            "dataset.sha256": sha256(text),
            "dataset.owner": declared["owner"],
            "dataset.job": name,
        }
        keep(run=_mlflow(wanted, "open", {"experiment": wanted["experiment"], "name": name, "tags": tags})["run"])
    if "job" not in known:
        keep(job=_submitted(wanted, name) or _submit(declared, folder, name, known["run"]))
        print("{} submitted job {}: {}".format(wanted["member"], known["job"], name), flush=True)
    state = _follow(wanted, known["job"])
    about = {key: wanted[key] for key in ("metric", "at_least", "at_most", "model", "alias")}
    keep(**_mlflow(wanted, "close", {"run": known["run"], "job": known["job"], "state": state, **about}))
    return known


def in_use(declared):
    """Return the versions that jobs say they use (`--comment=dataset:NAME/VERSION`); None where Slurm is mute."""
    done = _run(["squeue", "--noheader", "--all", "--format=%k"])
    if done.returncode != 0:
        return None
    prefix = f"dataset:{declared['name']}/"
    return {line.strip()[len(prefix) :] for line in done.stdout.splitlines() if line.strip().startswith(prefix)}


def _run(argv, member="", text=""):
    """Run a command, as a member with the environment of a login.

    Raises:
        DatasetError: it took too long or is not there.
    """
    if member:
        argv = ["runuser", "-l", member, "-c", "exec " + shlex.join(argv)]
    try:
        return subprocess.run(
            argv, input=text, capture_output=True, text=True, errors="replace",
            timeout=ASK_SECONDS, check=False,
        )  # fmt: skip
    except (OSError, subprocess.TimeoutExpired) as error:
        raise DatasetError(f"{argv[0]}: {error}") from None


def _said(done):
    return (done.stderr.strip() or done.stdout.strip())[-1000:]


def _mlflow(wanted, verb, about):
    """Ask MLflow as the member, with the member's own login."""
    words = ["bash", "-c", 'exec "$PLATFORM_PYTHON" "$@"', verb, VERDICT, verb]
    done = _run(words, member=wanted["member"], text=json.dumps(about))
    if done.returncode != 0:
        raise DatasetError("MLflow did not take what {} told it: {}".format(wanted["member"], _said(done)))
    return json.loads(done.stdout.strip().splitlines()[-1])


def _submitted(wanted, name):
    """Return the job of this name where there is one: it was submitted, and then this program was killed."""
    words = ["--noheader", "--allocations", "--parsable2", "--starttime=now-30days", "--format=JobID", "--name=" + name]
    done = _run(["sacct", *words, "--user=" + wanted["member"]])
    if done.returncode != 0:
        raise DatasetError(f"Slurm's accounting does not answer: {_said(done)}")
    return (done.stdout.split() or [""])[-1]


def _submit(declared, folder, name, run):
    wanted, version = declared["retrain"], declared["version"]
    given = {
        "DATASET_NAME": declared["name"],
        "DATASET_VERSION": version,
        "DATASET_PATH": folder.at(version),
        "DATASET_SHA256": sha256(folder.text(version)),
        "MLFLOW_EXPERIMENT_NAME": wanted["experiment"],
        "MLFLOW_RUN_ID": run,
        "MODEL_NAME": wanted["model"],
    }
    minutes = max(1, wanted["max_seconds"] // 60)
    options = ["--job-name=" + name, f"--comment=dataset:{declared['name']}/{version}", f"--time={minutes}"]
    options += ["--partition=" + wanted["partition"]] if wanted["partition"] else []
    options += [f"--gres=gpu:{wanted['gpus']}"] if wanted["gpus"] else []
    environment = [f"{name}={value}" for name, value in sorted(given.items())]
    done = _run(["env", *environment, "sbatch", "--parsable", *options, wanted["script"]], member=wanted["member"])
    if done.returncode != 0:
        if "Unable to contact" in done.stderr or "timed out" in done.stderr:
            raise DatasetError(f"Slurm does not answer: {_said(done)}")
        raise RefusedError("Slurm refused {} of {}: {}".format(wanted["script"], wanted["member"], _said(done)))
    return done.stdout.strip().splitlines()[-1].split(";")[0]


def _follow(wanted, job):
    """Return the state in which a job ended."""
    deadline = time.monotonic() + PENDING_SECONDS + wanted["max_seconds"]
    while time.monotonic() < deadline:
        words = ["--noheader", "--allocations", "--parsable2", "--starttime=now-30days", "--format=State"]
        done = _run(["sacct", *words, "--jobs=" + job])
        state = (done.stdout.split() or [""])[0] if done.returncode == 0 else ""
        if state not in UNFINISHED:
            return state
        time.sleep(POLL_SECONDS)
    raise DatasetError(f"job {job} did not end in time")
