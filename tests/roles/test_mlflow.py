"""Roles postgresql, mlflow and mlflow_client on machines: the acceptance, and who may do what in MLflow."""

from __future__ import annotations

import json
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from platform_iac.checks.remote import Done, Remote
from platform_iac.checks.run import judge
from platform_iac.lab import network
from tests.twin_support import machines
from tests.twin_support.acceptance import accept, unchanged
from tests.twin_support.ansible import play, up_to
from tests.twin_support.browser import browser
from tests.twin_support.machines import Lab

pytestmark = [pytest.mark.twin, pytest.mark.timeout(900)]

SPEC = """
apiVersion: platform-iac/v1
name: rolemlflow
sites:
  lab: {kind: lab, domain: lab.example.net, network: 10.83.0.0/24}
pools:
  infra: {site: lab, duty: mirror, hosts: mirror01, addresses: 10.83.0.10}
  login: {site: lab, duty: login, hosts: login01, addresses: 10.83.0.12}
  svc: {site: lab, duty: services, hosts: svc01, addresses: 10.83.0.13}
services:
  mlflow: {kind: mlflow}
teams:
  vision: {members: {alice: {uid: 20001}}}
  language: {members: {bob: {uid: 20002}}}
"""

CLIENT = "from mlflow import MlflowClient; c=MlflowClient()"
OLDER = """
import sqlalchemy
from alembic import command
from alembic.script import ScriptDirectory
from mlflow.store.db import utils

engine = utils.create_sqlalchemy_engine_with_retry("postgresql+psycopg2:///mlflow?host=/var/run/postgresql")
with engine.begin() as connection:
    connection.execute(sqlalchemy.text("drop schema public cascade"))
    connection.execute(sqlalchemy.text("create schema public"))
utils.InitialBase.metadata.create_all(engine)
config = utils._get_alembic_config(str(engine.url))
script = ScriptDirectory.from_config(config)
with engine.begin() as connection:
    config.attributes["connection"] = connection
    command.upgrade(config, script.get_revision(script.get_current_head()).down_revision)
"""
ASK = """
import sys, urllib.error, urllib.request
try:
    print(urllib.request.urlopen(sys.argv[1]).status)
except urllib.error.HTTPError as error:
    print(error.code)
"""


@pytest.fixture(scope="module")
def lab() -> Iterator[Lab]:
    with machines.lab(SPEC) as made:
        up_to(made, "postgresql")
        yield made


def remote(lab: Lab) -> Remote:
    return Remote(str(lab.ssh_config))


def python(lab: Lab, user: str, program: str) -> Done:
    """Run a program in the jobs' environment, as a member who has just logged in."""
    argv = ["bash", "-c", 'exec "$PLATFORM_PYTHON" -c "$1"', "python", program]
    return remote(lab)("login01", argv, user=user, timeout_seconds=180)


def test_postgresql_passes_the_acceptance(lab: Lab) -> None:
    # The account stays: Debian's postgresql-common keeps it on purpose when it goes.
    accept(lab, "postgresql", stays=r"(user|group) (postgres|ssl-cert)")


def test_postgresql_is_not_on_the_network_and_knows_who_asks(lab: Lab) -> None:
    assert lab.ok("svc01", "cd /; runuser -u postgres -- psql -XAtc 'show listen_addresses'").strip() == ""
    foreign = lab.run("svc01", "cd /; runuser -u nobody -- psql -XU mlflow -d mlflow -c 'select 1'")
    assert foreign.rc != 0
    assert "Peer authentication failed" in foreign.text


def test_mlflow_passes_the_acceptance(lab: Lab) -> None:
    # Its tables are the database's: the teardown of `postgresql` takes them.
    accept(lab, "mlflow", stays=r"file /var/lib/postgresql/\d+/main/.*")


def test_mlflow_client_passes_the_acceptance(lab: Lab) -> None:
    accept(lab, "mlflow_client")


def test_checks_of_the_plan_pass(lab: Lab) -> None:
    checks = [check for check in lab.plan.checks if "mlflow" in check.name]
    assert len(checks) == 4
    results = [judge(check, remote(lab)) for check in checks]
    assert not [f"{result.check.name}: {result.reason}" for result in results if not result.passed]


def test_members_change_what_they_made_and_read_the_rest(lab: Lab) -> None:
    made = python(lab, "alice", f"{CLIENT}; print(c.create_experiment('of-alice')); c.create_registered_model('m')")
    assert made.rc == 0, made.err
    read = python(
        lab, "bob", f"{CLIENT}; print(c.get_experiment_by_name('of-alice').name, c.get_registered_model('m').name)"
    )
    assert "of-alice m" in read.out
    for attempt in ("c.create_run(e)", "c.delete_experiment(e)", "c.delete_registered_model('m')"):
        denied = python(lab, "bob", f"{CLIENT}; e=c.get_experiment_by_name('of-alice').experiment_id; {attempt}")
        assert "Permission denied" in denied.err, attempt


def test_artifacts_go_through_the_server_and_lie_where_only_it_reads(lab: Lab) -> None:
    program = (
        f"{CLIENT}; import mlflow; mlflow.set_experiment('of-alice'); r=mlflow.start_run(); "
        "mlflow.log_text('forty-two', 'a.txt'); mlflow.end_run(); "
        "print(mlflow.artifacts.load_text(r.info.artifact_uri + '/a.txt'), r.info.artifact_uri)"
    )
    done = python(lab, "alice", program)
    assert "forty-two mlflow-artifacts:/" in done.out, done.err
    assert lab.run("svc01", "runuser -u nobody -- ls /var/lib/mlflow/artifacts").rc != 0


def test_a_login_is_its_owners_alone(lab: Lab) -> None:
    for path in ("/etc/mlflow/users.json", "/etc/mlflow/secrets.env"):
        assert lab.ok("svc01", f"stat -c '%a %U' {path}").strip() == "600 root"
    assert "Permission denied" in lab.run("login01", "cat /etc/platform-iac/mlflow/alice", user="bob").text
    words = lab.ok(
        "svc01", "tr '\\0' ' ' < /proc/$(systemctl show -P MainPID mlflow.service)/cmdline; journalctl -u mlflow"
    )
    said = words + lab.ok("login01", "su -l alice -c env")
    assert not [name for name, secret in lab.secrets.items() if secret in said]


def test_a_password_changed_by_hand_is_set_back_and_strangers_are_removed(lab: Lab) -> None:
    admin = lab.secrets["mlflow.admin"]
    call = (
        "curl -sS --fail-with-body -K - -H 'Content-Type: application/json' http://127.0.0.1:5000/api/2.0/mlflow/users"
    )
    feed = f"printf 'user=admin:%s' {admin} |"
    body = json.dumps({"username": "mallory", "password": "mallory-mallory"})
    lab.ok("svc01", f"{feed} {call}/create -d '{body}'")
    body = json.dumps({"username": "alice", "password": "something-else-1"})
    lab.ok("svc01", f"{feed} {call}/update-password -X PATCH -d '{body}'")
    # Another worker may still remember the login (auth_cache_ttl_seconds): start anew rather than wait that long.
    lab.ok("svc01", "systemctl restart mlflow.service")
    again = play(lab, "mlflow").ok()
    assert again.changed["svc01"] == 1
    assert "set the password of alice" in again.output
    assert "remove mallory" in again.output
    assert not [name for name, secret in lab.secrets.items() if secret in again.output]
    unchanged(lab, "mlflow")


def test_the_page_opens_in_a_browser_through_the_loopback(lab: Lab, tmp_path: Path) -> None:
    site = lab.plan.sites[0].settings
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    hosts = {host.name: host.address for host in lab.plan.hosts}
    network.ensure(lab.name, site["network"], hosts, domain=site["domain"], forwards={port: "svc01:5000"})
    with browser() as page:
        page.open(f"http://127.0.0.1:{port}/#/experiments", "alice", lab.secrets["mlflow.user.alice"])
        assert "of-alice" in page.wait_for("Experiments", "of-alice")
        shot = tmp_path / "mlflow.png"
        shot.write_bytes(page.screenshot())
    assert shot.read_bytes().startswith(b"\x89PNG")
    assert shot.stat().st_size > 10_000


def test_without_a_login_the_page_stays_shut(lab: Lab) -> None:
    status = "curl -sS -o /dev/null -w '%{http_code}' http://svc01:5000/"
    assert lab.ok("login01", f"python3 -c '{ASK}' http://svc01:5000/").strip() == "401"
    assert lab.ok("svc01", f"{status} -H 'Host: evil.example.org'").strip() == "403"


def test_a_schema_that_a_killed_run_left_behind_is_copied_and_brought_along(lab: Lab) -> None:
    """The environment is this release's already, the database an older one's. Last, for it begins anew."""
    lab.ok("svc01", "systemctl stop mlflow.service")
    as_mlflow = "cd / && runuser -u mlflow -- /opt/platform/mlflow/bin/python -"
    lab.ok("svc01", f"{as_mlflow} <<'END'\n{OLDER}\nEND", timeout=300)
    rehearsed = play(lab, "mlflow", check=True).ok()
    assert "Copy the databases and bring them to this release" in rehearsed.output
    assert lab.run("svc01", "ls /var/backups/mlflow").rc != 0
    play(lab, "mlflow").ok()
    found = lab.ok("svc01", "cd /var/backups/mlflow && stat -c '%a %U %n' . *").splitlines()
    said = [line.rsplit("-", maxsplit=1)[0] for line in found]
    assert said == ["700 root .", "600 root accounts", "600 root tracking"]
    assert "TABLE DATA public experiments" in lab.ok("svc01", "pg_restore --list /var/backups/mlflow/tracking-*.dump")
    made = python(lab, "alice", f"{CLIENT}; print(c.create_experiment('after'))")
    assert made.rc == 0, made.err
    unchanged(lab, "mlflow")
