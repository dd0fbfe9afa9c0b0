"""Service `datasets`: what the host that moves is told, and what is refused before anything moves."""

from __future__ import annotations

import configparser
import json
from typing import Any

import pytest

from platform_iac.kinds.service.datasets.plan import ETC
from platform_iac.plan.context import PlanError
from platform_iac.plan.make import make
from platform_iac.plan.model import File, Plan, Run
from platform_iac.spec.errors import SpecError
from platform_iac.spec.load import loads

SPEC = """
apiVersion: platform-iac/v1
name: small
sites:
  lab: {kind: lab, domain: lab.example.net, network: 10.77.0.0/24}
pools:
  ctl: {site: lab, duty: controller, hosts: ctl01, addresses: 10.77.0.11}
  login: {site: lab, duty: login, hosts: "login[01-02]", addresses: 10.77.0.14}
  svc: {site: lab, duty: services, hosts: svc01, addresses: 10.77.0.13}
  stor: {site: lab, duty: storage, hosts: "stor[01-03]", addresses: 10.77.0.31}
  gpu: {site: lab, duty: compute, hosts: gpu01, addresses: 10.77.0.21, hardware: dgx-h100}
storage:
  ceph:
    kind: ceph
    pool: stor
    filesystems:
      datasets: {mount: /datasets, purpose: datasets, quotas_gib: {vision: 3}}
    s3: {buckets: {models: {quota_gib: 1}}}
scheduler: {kind: slurm, partitions: {gpu: {pools: [gpu], default: true}}}
services:
  mlflow: {kind: mlflow}
  data:
    kind: datasets
    sets:
      digits:
        version: "2026.1"
        owner: vision
        size_gib: 1
        source: {kind: s3, endpoint: s3.example.org, bucket: public, path: vision/digits, credentials: /etc/keys/s3}
        only: ["train/*.parquet"]
        bandwidth_mib: 100
        copies:
          ours: {kind: bucket, bucket: models, path: digits}
          there: {kind: sftp, host: dc2.example.net, user: data, key: /etc/keys/dc2, known_hosts: /etc/keys/known, path: /srv/digits}
        retrain: {script: /opt/train.sbatch, member: alice, validated_by: {metric: accuracy, at_least: 0.9}, max_time: 0-01:00:00}
teams:
  vision: {members: {alice: {uid: 20001}}}
  language: {members: {bob: {uid: 20002}}}
"""  # noqa: E501


@pytest.fixture(scope="module")
def plan() -> Plan:
    return make(loads(SPEC))


def run(plan: Plan) -> Run:
    return next(run for run in plan.runs if run.name == "datasets")


def file(plan: Plan, path: str) -> File:
    return next(file for file in run(plan).files if file.path == path)


def declared(plan: Plan) -> dict[str, Any]:
    return dict(json.loads(file(plan, f"{ETC}/digits.json").content))


def test_the_first_login_host_moves_after_all_that_it_needs(plan: Plan) -> None:
    assert run(plan).hosts == ("login01",)
    names = [run.name for run in plan.runs]
    needed = ("ceph_cluster", "ceph_client", "mlflow_client", "slurm_login", "slurm_node")
    assert all(names.index(name) < names.index("datasets") for name in needed)
    assert "ceph_cluster" in run(plan).needs, "it makes the bucket"


def test_a_version_lies_in_its_teams_folder_and_comes_from_its_own_at_the_source(plan: Plan) -> None:
    told = declared(plan)
    assert told["folder"] == "/datasets/vision/digits"
    assert told["source"] == "digits.source:public/vision/digits/2026.1"
    assert told["manifests"] == "digits.source:public/vision/digits"
    assert told["size_bytes"] == 2**30
    flat = make(loads(SPEC.replace("bandwidth_mib: 100", "versioned: false")))
    assert declared(flat)["source"] == "digits.source:public/vision/digits"
    assert declared(flat)["manifests"] == ""


def test_each_place_is_a_remote_that_is_verified_and_keys_are_no_text(plan: Plan) -> None:
    config = file(plan, f"{ETC}/digits.rclone.conf")
    assert config.mode == "0600"
    found = configparser.ConfigParser()
    found.read_string(config.content)
    assert found.sections() == ["digits.source", "digits.to.ours", "digits.to.there"]
    assert found["digits.source"]["endpoint"] == "https://s3.example.org"
    assert found["digits.source"]["shared_credentials_file"] == "/etc/keys/s3"
    assert found["digits.to.ours"]["secret_access_key"] == "@@secret/ceph.s3.models@@"
    assert run(plan).secrets == ("ceph.s3.models",)
    assert found["digits.to.there"]["known_hosts_file"] == "/etc/keys/known"
    assert all("@@secret" not in other.content for other in run(plan).files if other != config)


def test_what_is_declared_of_one_dataset_restarts_no_other(plan: Plan) -> None:
    more = "      letters: {version: 'a', owner: language, size_gib: 1, source: {kind: folder, path: /srv/a}}\nteams:"
    two = make(loads(SPEC.replace("teams:", more)))
    before, after = ({unit.name: unit for unit in run(each).units} for each in (plan, two))
    assert before.items() <= after.items()
    assert set(after["platform-dataset@letters.service"].restart_on) == {
        f"{ETC}/letters.json",
        f"{ETC}/letters.rclone.conf",
    }
    changed = make(loads(SPEC.replace("2026.1", "2026.2")))
    assert {f.path for f in set(run(changed).files) - set(run(plan).files)} == {f"{ETC}/digits.json"}


def test_it_is_proven_by_its_manifest_and_its_retraining(plan: Plan) -> None:
    mine = [check for check in plan.checks if "digits" in check.name]
    assert [check.argv[-4] for check in mine] == ["verify", "verdict"]
    assert all(check.host == "login01" for check in mine)


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        ("purpose: datasets", "purpose: project", "login01 mounts none for datasets — name one in `mount`"),
        ("size_gib: 1\n", "size_gib: 1\n        mount: /data\n", "login01 has no storage at /data, it mounts"),
        ("size_gib: 1\n", "size_gib: 1.5\n", "may need 4.5 GiB with the versions they keep and one on its way"),
        ("size_gib: 1\n", "size_gib: 1\n        keep: [old]\n", "may need 4 GiB"),
        ("member: alice", "member: bob", "bob is no member of vision, who own it — name one of alice"),
        ("      digits:", "      alice:", "`alice` is also a member of vision"),
        ("script: /opt", "partition: cpu, script: /opt", "there is no partition `cpu` — name one of gpu"),
        ("bucket: models, path", "bucket: model, path", "no storage has a bucket `model` — add it"),
        ("    kind: datasets", "    kind: datasets\n    runs_on: gpu", "from logins — leave `runs_on` out"),
        ("  mlflow: {kind: mlflow}\n", "", "there is no MLflow that could keep its result"),
        ("scheduler: {kind: slurm, partitions: {gpu: {pools: [gpu], default: true}}}\n", "", "there is no Slurm"),
    ],
)  # fmt: skip
def test_what_does_not_fit_is_refused_with_what_to_do(old: str, new: str, says: str) -> None:
    assert old in SPEC
    with pytest.raises(PlanError) as found:
        make(loads(SPEC.replace(old, new)))
    assert says in str(found.value)


def test_nfs_can_keep_no_datasets_because_root_is_nobody_there() -> None:
    nfs = """
  nfs:
    kind: nfs
    mount: /data
    purpose: project
    network: management
    server: {profile: netapp, addresses: [10.77.0.99], export: /data, capacity_gib: 100}
scheduler:"""
    spec = SPEC.replace("\nscheduler:", nfs).replace("size_gib: 1\n", "size_gib: 1\n        mount: /data\n")
    with pytest.raises(PlanError, match="root of login01 is nobody in /data and can own no dataset — use CephFS"):
        make(loads(spec))


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        ('"2026.1"', '"../../etc"', "is no version"),
        ('"2026.1"', '"1; reboot"', "is no version"),
        ('"2026.1"', "current", "is the name of something else"),
        ('"2026.1"', "a.sha256", "is the name of something else"),
        ("path: vision/digits", 'path: "a/../b"', "is no path in a bucket"),
        ("path: vision/digits", 'path: "-x"', "is no path in a bucket"),
        ("train/*.parquet", "{{ lookup }}", "is template or shell syntax"),
        ("train/*.parquet", "--config=/x", "is no pattern of files"),
        ("user: data", 'user: "data\\nkey_file = /x"', "is no account"),
        ("host: dc2.example.net", 'host: "dc2 --"', "is no domain"),
        ("script: /opt/train.sbatch", 'script: "/opt/a b;c"', "is no absolute path"),
        ("metric: accuracy", 'metric: "a\' or 1"', "is no metric"),
        ("metric: accuracy, at_least: 0.9", "metric: accuracy", "neither `at_least` nor `at_most`"),
        ("bandwidth_mib: 100", "sha256: abc", "is no SHA-256"),
        ("size_gib: 1\n", "size_gib: 0\n", "size_gib"),
        ("owner: vision", "owner: visions", "did you mean `vision`?"),
        ("kind: s3", "kind: s4", "there is no kind 's4'"),
        ("        owner: vision\n", "", "this is missing — add it: The team that answers for it"),
    ],
)
def test_what_is_no_word_of_a_spec_is_refused(old: str, new: str, says: str) -> None:
    assert old in SPEC
    with pytest.raises(SpecError) as found:
        loads(SPEC.replace(old, new))
    assert says in str(found.value)
