"""The main job, against a cluster that is made of answers."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Sequence
from typing import Any, cast

import pytest

from platform_iac.checks import slurm_job, training
from platform_iac.checks.remote import Done, Remote
from platform_iac.plan.make import make
from platform_iac.plan.model import Plan
from platform_iac.spec.load import load

TRACKED = {
    "run": "5f2e",
    "status": "FINISHED",
    "params": {"epochs": "30", "ranks": "2"},
    "metrics": {"accuracy": 0.96},
    "tags": {"slurm.job": "7"},
    "epochs": 30,
    "version": 3,
}


class Cluster:
    """Answers like a cluster: job 7 trains, job 8 judges. `states` are told by sacct, one after the other."""

    def __init__(self, **changes: Any) -> None:
        self.asked: list[tuple[str, str, list[str]]] = []
        self.states = {"7": ["PENDING", "RUNNING", "COMPLETED"], "8": ["COMPLETED"]}
        self.tracked: list[dict[str, Any]] = [TRACKED]
        self.answer = {"accuracy": 0.96, "images": 450, "version": 3}
        self.refusal = ""
        self.__dict__.update(changes)

    def __call__(
        self, host: str, argv: Sequence[str], *, user: str = "root", stdin: str = "", timeout_seconds: float = 60
    ) -> Done:
        self.asked.append((host, user, list(argv)))
        out = getattr(self, f"_{argv[0]}")(argv, stdin)
        return out if isinstance(out, Done) else Done(0, out, "")

    def _sbatch(self, argv: Sequence[str], stdin: str) -> str | Done:
        if self.refusal:
            return Done(1, "", self.refusal)
        return "7\n" if any(word.endswith("train.sbatch") for word in argv) else "8;lab\n"

    def _sacct(self, argv: Sequence[str], stdin: str) -> str:
        job = argv[argv.index("-j") + 1]
        states = self.states[job]
        state = states.pop(0) if len(states) > 1 else states[0]
        return f"{job}|alice|vision|gpu|billing=2,gres/gpu=2,node=2|{state}|00:00:09|gpu[01-02]\n" if state else ""

    def _scontrol(self, argv: Sequence[str], stdin: str) -> str:
        return "gpu01\ngpu02\n"

    def _squeue(self, argv: Sequence[str], stdin: str) -> str:
        return "PENDING Resources\n"

    def _scancel(self, argv: Sequence[str], stdin: str) -> str:
        return ""

    def _bash(self, argv: Sequence[str], stdin: str) -> str:
        return json.dumps(self.tracked) if stdin else "ValueError: no\n"

    def _cat(self, argv: Sequence[str], stdin: str) -> str:
        return json.dumps(self.answer)


@pytest.fixture(autouse=True)
def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(slurm_job, "POLL_SECONDS", 0)


@pytest.fixture(scope="module")
def plan() -> Plan:
    return make(load("lab"))


def go(plan: Plan, cluster: Cluster, said: list[str] | None = None) -> training.Result:
    heard: list[str] = [] if said is None else said
    return training.run(plan, cast("Remote", cluster), heard.append)


def test_the_result_has_slurms_record_the_run_and_the_version(plan: Plan) -> None:
    said: list[str] = []
    result = go(plan, Cluster(), said)
    assert (result.member, result.model, result.version, result.accuracy) == ("alice", "digits", 3, 0.96)
    assert (result.training.job, result.training.account, result.training.nodes) == ("7", "vision", "gpu[01-02]")
    assert (result.inference.job, result.tracked.run) == ("8", "5f2e")
    assert said == [
        "alice submitted job 7 on login01: training on 2 nodes with one h100 each",
        "job 7 is pending on gpu[01-02]",
        "job 7 is running on gpu[01-02]",
        "job 7 is completed on gpu[01-02]",
        "MLflow has run 5f2e and registered digits version 3",
        "alice submitted job 8 on login01: judging digits version 3",
        "job 8 is completed on gpu[01-02]",
    ]


def test_everything_is_done_as_the_member_and_gpus_are_asked_for_by_type(plan: Plan) -> None:
    cluster = Cluster()
    go(plan, cluster)
    assert {user for _, user, _ in cluster.asked} == {"alice"}
    submitted = [argv for _, _, argv in cluster.asked if argv[0] == "sbatch"]
    assert submitted[0][2:] == ["--gres=gpu:h100:1", "--nodes=2", "/opt/platform/examples/digits/train.sbatch"]
    assert submitted[1][2:] == ["--gres=gpu:h100:1", "/opt/platform/examples/digits/infer.sbatch", "3"]
    assert [host for host, _, argv in cluster.asked if argv[0] == "cat"] == ["gpu01"]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"refusal": "Invalid account"}, r"Slurm refused \S+train.sbatch of alice on login01: Invalid account"),
        ({"states": {"7": ["RUNNING", "FAILED"]}}, r"job 7 ended as FAILED on gpu\[01-02\]:\nValueError: no"),
        ({"states": {"7": ["NODE_FAIL"]}}, r"job 7 ended as NODE_FAIL"),
        ({"states": {"7": ["CANCELLED by 0"]}}, r"job 7 ended as CANCELLED by 0"),
        ({"tracked": []}, "MLflow has 0 runs of job 7 instead of one"),
        ({"tracked": [TRACKED, TRACKED]}, "MLflow has 2 runs of job 7 instead of one"),
        ({"tracked": [{**TRACKED, "version": 0}]}, "MLflow's run 5f2e of job 7 has no model version"),
        ({"tracked": [{**TRACKED, "status": "RUNNING"}]}, "has status RUNNING"),
        ({"tracked": [{**TRACKED, "epochs": 29}]}, "has 29 epochs"),
        ({"tracked": [{**TRACKED, "params": {"epochs": "30", "ranks": "1"}}]}, "has 1 ranks"),
        ({"tracked": [{**TRACKED, "metrics": {}}]}, "has no accuracy"),
        ({"answer": {"accuracy": 0.5}}, r"version 3 is right in 50.0%, expected 90%"),
        ({"answer": {"accuracy": 0.92}}, r"registered model is right in 92.0%, the trained one was in 96.0%"),
    ],
)
def test_every_way_to_fail_is_told(plan: Plan, changes: dict[str, Any], message: str) -> None:
    with pytest.raises(training.TrainingError, match=message):
        go(plan, Cluster(**changes))


@pytest.mark.parametrize("state", ["PENDING", ""])
def test_a_job_that_does_not_start_is_cancelled_and_its_reason_told(
    plan: Plan, state: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(training, "WITHIN_SECONDS", 0.0)
    cluster = Cluster(states={"7": [state]})
    with pytest.raises(training.TrainingError, match=r"not done after 0 s \(PENDING Resources\) and is cancelled"):
        go(plan, cluster)
    assert cluster.asked[-1][2] == ["scancel", "7"]


def test_a_plan_without_members_logins_or_gpus_is_told(plan: Plan) -> None:
    few = dataclasses.replace(plan, hosts=tuple(host for host in plan.hosts if host.name not in ("gpu02", "gpu03")))
    with pytest.raises(training.TrainingError, match=r"needs 2 compute hosts .* found \{'h100': 1\}"):
        go(few, Cluster())
    none = dataclasses.replace(plan, hosts=tuple(host for host in plan.hosts if host.duty != "login"))
    with pytest.raises(training.TrainingError, match="no host with `duty: login`"):
        go(none, Cluster())
    with pytest.raises(training.TrainingError, match="no team has a member"):
        go(dataclasses.replace(plan, runs=()), Cluster())


def test_a_platform_without_a_place_for_the_job_says_so_before_it_is_asked(plan: Plan) -> None:
    few = dataclasses.replace(plan, hosts=tuple(host for host in plan.hosts if host.name not in ("gpu02", "gpu03")))
    remote = cast("Remote", Cluster())
    assert training.lacking(few, remote).startswith("the training job needs 2 compute hosts")
    assert training.lacking(plan, remote) == ""
