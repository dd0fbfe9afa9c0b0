"""Service `mlflow`: what its host, the logins and the compute hosts get."""

from __future__ import annotations

import json

import pytest

from platform_iac.kinds.service import mlflow
from platform_iac.plan.context import PlanError
from platform_iac.plan.export import value
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
  infra: {site: lab, duty: mirror, hosts: mirror01, addresses: 10.77.0.10}
  login: {site: lab, duty: login, hosts: login01, addresses: 10.77.0.12}
  svc: {site: lab, duty: services, hosts: svc01, addresses: 10.77.0.13}
  gpu: {site: lab, duty: compute, hosts: "gpu[01-02]", addresses: 10.77.0.21, hardware: dgx-h100}
services:
  mlflow: {kind: mlflow}
teams:
  vision: {members: {bob: {uid: 20002}, alice: {uid: 20001}}}
"""


@pytest.fixture(scope="module")
def plan() -> Plan:
    return make(loads(SPEC))


def run(plan: Plan, name: str) -> Run:
    return next(run for run in plan.runs if run.name == name)


def file(plan: Plan, name: str, path: str) -> File:
    return next(file for file in run(plan, name).files if file.path == path)


def option(plan: Plan, name: str) -> str:
    """The value of an option of the server's command."""
    words = file(plan, "mlflow", mlflow.UNIT).content.split()
    return words[words.index(f"--{name}") + 1]


@pytest.mark.parametrize("version", ["3.16.0", "3.9.12", "2.22.4", "0.0.0"])
def test_releases_with_a_public_password_are_refused(version: str) -> None:
    with pytest.raises(SpecError, match=r"administrator whose password is public — use 3\.16\.1 or newer"):
        loads(SPEC.replace("{kind: mlflow}", f"{{kind: mlflow, version: {version}}}"))


@pytest.mark.parametrize("version", ["3", "latest", "3.17", "3.17.2rc1", "3.17.2; true", ">=3.17.2"])
def test_what_is_no_release_is_refused(version: str) -> None:
    with pytest.raises(SpecError, match="is no release of MLflow — write three numbers"):
        loads(SPEC.replace("{kind: mlflow}", f'{{kind: mlflow, version: "{version}"}}'))


@pytest.mark.parametrize("version", ["3.16.1", "3.18.0", "10.0.0"])
def test_newer_releases_are_taken_by_server_and_clients_alike(version: str) -> None:
    plan = make(loads(SPEC.replace("{kind: mlflow}", f"{{kind: mlflow, version: {version}}}")))
    assert {f"mlflow[auth]=={version}", f"mlflow-skinny=={version}"} <= set(plan.pip)


def test_every_python_requirement_is_one_version(plan: Plan) -> None:
    assert plan.pip
    assert all("==" in requirement for requirement in plan.pip)


def test_the_server_comes_after_its_database_and_the_clients_after_the_server(plan: Plan) -> None:
    names = [run.name for run in plan.runs]
    assert names.index("postgresql") < names.index("mlflow") < names.index("mlflow_client")


def test_two_services_hosts_are_one_too_many() -> None:
    with pytest.raises(PlanError, match="needs exactly one host with `duty: services`, found svc01, svc02"):
        make(loads(SPEC.replace("hosts: svc01", 'hosts: "svc[01-02]"')))


def test_the_database_is_reached_without_a_password_and_not_over_the_network(plan: Plan) -> None:
    assert option(plan, "backend-store-uri") == "postgresql+psycopg2:///mlflow?host=/var/run/postgresql"
    assert "postgresql+psycopg2:///mlflow_auth?host=" in file(plan, "mlflow", "/etc/mlflow/auth.ini").content
    assert run(plan, "mlflow").vars["accounts_database"] in file(plan, "mlflow", mlflow.AUTH).content.split()
    conf = next(file for file in run(plan, "postgresql").files if file.path.endswith("platform.conf"))
    assert "listen_addresses = ''" in conf.content
    assert run(plan, "postgresql").vars["databases"] == {"mlflow": "mlflow", "mlflow_auth": "mlflow"}


def test_the_server_answers_to_its_names_and_the_loopback_and_to_no_other(plan: Plan) -> None:
    names = ["svc01:5000", "svc01.lab.example.net:5000", "10.77.0.13:5000", "localhost:*", "127.0.0.1:*"]
    assert option(plan, "allowed-hosts").split(",") == names
    assert "*" not in option(plan, "cors-allowed-origins")


def test_names_behind_a_proxy_are_answered_to() -> None:
    plan = make(loads(SPEC.replace("{kind: mlflow}", "{kind: mlflow, names: [mlflow.example.net]}")))
    assert "mlflow.example.net" in option(plan, "allowed-hosts").split(",")
    assert "https://mlflow.example.net" in option(plan, "cors-allowed-origins").split(",")


def test_files_with_a_secret_are_read_by_their_owner_only(plan: Plan) -> None:
    secret = [file for run in plan.runs for file in run.files if "@@secret/mlflow." in file.content]
    assert len(secret) == 4
    assert all(file.mode in ("0400", "0600") for file in secret)


def test_each_member_has_a_login_of_their_own(plan: Plan) -> None:
    mine = file(plan, "mlflow_client", f"{mlflow.LOGINS}/alice")
    assert (mine.owner, mine.group, mine.mode) == ("alice", "alice", "0400")
    assert mine.content.splitlines() == [
        "machine svc01.lab.example.net login alice password @@secret/mlflow.user.alice@@",
        "machine svc01 login alice password @@secret/mlflow.user.alice@@",
    ]
    users = json.loads(file(plan, "mlflow", "/etc/mlflow/users.json").content)
    assert users == {"alice": "@@secret/mlflow.user.alice@@", "bob": "@@secret/mlflow.user.bob@@"}


def test_the_environment_of_a_job_holds_no_password(plan: Plan) -> None:
    profile = file(plan, "mlflow_client", "/etc/profile.d/platform-mlflow.sh").content
    assert "export MLFLOW_TRACKING_URI=http://svc01.lab.example.net:5000\n" in profile
    assert "secret/" not in profile
    assert "PASSWORD=" not in profile


def test_the_endpoint_says_who_logs_in_with_which_secret(plan: Plan) -> None:
    (point,) = plan.endpoints
    assert (point.name, point.host, point.port, point.user, point.secret) == (
        *("mlflow", "svc01", 5000),
        *("admin", "mlflow.admin"),
    )


def test_a_new_compute_host_changes_nothing_on_the_others() -> None:
    few, more = make(loads(SPEC)), make(loads(SPEC.replace("gpu[01-02]", "gpu[01-03]")))
    for name in ("postgresql", "mlflow", "mlflow_client"):
        before, after = value(run(few, name)), value(run(more, name))
        assert {**before, "hosts": None} == {**after, "hosts": None}


def test_without_a_mirror_hosts_ask_the_index_of_their_own_configuration() -> None:
    plan = make(loads(SPEC.replace("duty: mirror", "duty: manager")))
    assert run(plan, "mlflow").vars["index"] == run(plan, "mlflow_client").vars["index"] == ""


def test_without_logins_and_compute_hosts_there_is_only_the_server() -> None:
    plan = make(loads(SPEC.replace("duty: login", "duty: edge").replace("duty: compute", "duty: edge")))
    assert "mlflow_client" not in {run.name for run in plan.runs}
    assert not any(requirement.startswith("mlflow-skinny") for requirement in plan.pip)


def test_artifacts_go_to_the_bucket_of_its_name_where_a_storage_has_one() -> None:
    stor = '  stor: {site: lab, duty: storage, hosts: "stor[01-03]", addresses: 10.77.0.31}\n'
    storage = "storage: {fast: {kind: ceph, pool: stor, s3: {buckets: {BUCKET: {quota_gib: 1}}}}}\n"
    spec = SPEC.replace("services:\n", f"{stor}{storage}services:\n")
    with_one = make(loads(spec.replace("BUCKET", "mlflow")))
    assert option(with_one, "artifacts-destination") == "s3://mlflow"
    env = file(with_one, "mlflow", "/etc/mlflow/secrets.env")
    assert env.mode == "0600"
    assert "AWS_ACCESS_KEY_ID=mlflow\n" in env.content
    assert "AWS_SECRET_ACCESS_KEY=@@secret/fast.s3.mlflow@@\n" in env.content
    assert "MLFLOW_S3_ENDPOINT_URL=http://stor01.lab.example.net:7480\n" in env.content
    assert "fast.s3.mlflow" in run(with_one, "mlflow").secrets
    assert "fast.s3.mlflow" not in json.dumps(value(run(with_one, "mlflow_client")))
    assert "ceph_cluster" in run(with_one, "mlflow").needs
    assert any(requirement.startswith("boto3==") for requirement in with_one.pip)
    without = make(loads(spec.replace("BUCKET", "other")))
    assert option(without, "artifacts-destination") == mlflow.LOCAL_ARTIFACTS
    assert "AWS" not in file(without, "mlflow", "/etc/mlflow/secrets.env").content
