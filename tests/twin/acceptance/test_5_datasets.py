"""A dataset's version changes: it is moved, a job retrains on it once, and MLflow keeps what came of it."""

from __future__ import annotations

import json
from typing import Any

import pytest

from platform_iac.checks.remote import Remote
from platform_iac.checks.run import judge
from tests.twin import logins
from tests.twin.acceptance.conftest import TEST_SECONDS
from tests.twin.specs import Overlay
from tests.twin.stack import Stack

pytestmark = [pytest.mark.twin, pytest.mark.timeout(TEST_SECONDS)]

ASK = """
import json
from mlflow import MlflowClient
client = MlflowClient()
experiment = client.get_experiment_by_name("digits").experiment_id
print(json.dumps([{
    **run.data.tags, **run.data.metrics, "run": run.info.run_id, "status": run.info.status,
    "inputs": [given.dataset.name for given in run.inputs.dataset_inputs],
} for run in client.search_runs([experiment], "tags.`dataset.version` != ''", order_by=["start_time"])]))
print(client.get_model_version_by_alias("digits-retrained", "validated").run_id)
"""


def kept(stack: Stack) -> tuple[list[dict[str, Any]], str]:
    """Return the runs of retrainings that MLflow keeps, the oldest first, and the run of the validated model."""
    argv = ["bash", "-c", 'exec "$PLATFORM_PYTHON" -c "$1"', "python", ASK]
    done = Remote(str(stack.ssh_config))("login01", argv, user="alice", timeout_seconds=180)
    assert done.rc == 0, done.said
    runs, validated = done.out.splitlines()
    return json.loads(runs), validated


def reasons(stack: Stack) -> list[str]:
    """Return why checks of datasets do not pass."""
    remote = Remote(str(stack.ssh_config))
    results = [judge(check, remote) for check in stack.plan.checks if "digits" in check.name]
    assert len(results) == 2
    return [result.reason for result in results if not result.passed]


def declare(spec: Overlay, **values: Any) -> None:
    spec.set(services={"data": {"sets": {"digits": values}}})


def test_the_first_version_was_retrained_on_and_its_model_is_validated(running: Stack) -> None:
    assert reasons(running) == []
    (run,), validated = kept(running)
    assert (run["dataset.name"], run["dataset.version"], run["dataset.verdict"]) == ("digits", "2026.1", "passed")
    assert (run["run"], run["status"], run["inputs"]) == (validated, "FINISHED", ["digits"])
    assert run["accuracy"] >= 0.9


def test_a_new_version_touches_the_host_that_moves_and_is_retrained_on_once(running: Stack, spec: Overlay) -> None:
    declare(spec, version="2026.2")
    (step,) = running.preview()
    assert (step["name"], step["op"]) == ("datasets", "update")
    assert set(step["detailedDiff"]) == {'files["/etc/platform-iac/datasets/digits.json"].content'}
    moment = logins.now()
    running.up()
    assert set(logins.since(running.lab, running.hosts, moment)) == {"login01"}
    assert reasons(running) == []
    running.ok("login01", "systemctl restart platform-dataset@digits.service")
    assert reasons(running) == []
    runs, validated = kept(running)
    assert [run["dataset.version"] for run in runs] == ["2026.1", "2026.2"]
    assert validated == runs[-1]["run"]
    seen = running.ok("gpu01", "cat /datasets/vision/digits/current/digits.csv.gz | sha256sum").split()[0]
    assert seen in running.ok("login01", "cat /datasets/vision/digits/2026.2.sha256")


def test_a_model_that_is_not_good_enough_is_seen_in_checks_and_drift_and_gets_no_alias(
    running: Stack, spec: Overlay
) -> None:
    before = kept(running)[1]
    user = "sbatch --comment=dataset:digits/2026.1 --time=60 --mem=100M --output=/dev/null --wrap='sleep 3000'"
    running.ok("login01", f'runuser -l alice -c "{user}"')
    declare(spec, version="2026.3", retrain={"validated_by": {"at_least": 0.999}})
    running.up()
    (reason,) = reasons(running)
    assert "is below 0.999" in reason
    runs, validated = kept(running)
    assert (runs[-1]["dataset.version"], runs[-1]["dataset.verdict"]) == ("2026.3", "rejected")
    assert validated == before
    (host,) = running.refresh()["datasets"].items()
    assert host[0] == "login01"
    ((thing, sentence),) = host[1].items()
    assert (thing, sentence.splitlines()[0]) == ("unit platform-dataset@digits.service", "failed")
    refused = running.run("up", "--yes", "--skip-preview")
    assert refused.rc != 0
    assert "the retraining is rejected" in refused.output
    assert len(kept(running)[0]) == len(runs), "nothing is retrained anew by itself"


def test_what_people_declare_otherwise_is_done_anew_and_old_versions_are_gone(running: Stack, spec: Overlay) -> None:
    declare(spec, retrain={"validated_by": {"at_least": 0.9}})
    running.up()
    assert reasons(running) == []
    assert "2026.1" in running.ok("login01", "ls /datasets/vision/digits").split(), "a job uses it"
    # A job that is completing still uses its version.
    gone = (
        "scancel --user=alice && timeout 60 bash -c 'while squeue --noheader --user=alice | grep .; do sleep 0.2; done'"
    )
    running.ok("login01", f"{gone} && systemctl restart platform-dataset@digits.service")
    assert reasons(running) == []
    assert running.ok("login01", "ls /datasets/vision/digits").split() == [
        "2026.2", "2026.2.sha256", "2026.3", "2026.3.sha256", "current",
    ]  # fmt: skip
    assert running.refresh() == {}
    running.nothing_to_do()
