"""Site `lab`: what its hosts get."""

from __future__ import annotations

import json
import re

import pytest

from platform_iac.components.lab import body
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
  infra: {site: lab, duty: mirror, hosts: mirror01, addresses: 10.77.0.10}
  login: {site: lab, duty: login, hosts: login01, addresses: 10.77.0.12}
  edge: {site: lab, duty: edge, hosts: "edge[01-02]", addresses: 10.77.0.21, hardware: {like: dgx-h100}}
teams:
  vision: {members: {bob: {uid: 20002}, alice: {uid: 20001}}}
"""


@pytest.fixture(scope="module")
def plan() -> Plan:
    return make(loads(SPEC))


def run(plan: Plan, name: str) -> Run:
    return next(run for run in plan.runs if run.name == name)


def files(run: Run, host: str) -> dict[str, File]:
    return {file.path: file for file in (*run.files, *run.host_files.get(host, ()))}


def test_the_mirror_comes_first_and_installs_from_its_own_folder(plan: Plan) -> None:
    assert [run.name for run in plan.runs][:3] == ["mirror", "base", "gpu"]
    assert (
        "URIs: file:///srv/mirror/debian\n" in files(run(plan, "mirror"), "mirror01")["/etc/apt/mirror.sources"].content
    )


def test_hosts_install_from_the_mirror(plan: Plan) -> None:
    for host in plan.hosts:
        assert "http://mirror01/debian\n" in files(run(plan, "base"), host.name)["/etc/apt/platform.sources"].content


def test_the_mirror_keeps_the_time_and_never_sets_the_clock(plan: Plan) -> None:
    base = run(plan, "base")
    assert "local stratum 10" in files(base, "mirror01")["/etc/chrony/chrony.conf"].content
    assert "allow 10.77.0.0/24" in files(base, "mirror01")["/etc/chrony/chrony.conf"].content
    assert "server mirror01 iburst" in files(base, "edge01")["/etc/chrony/chrony.conf"].content
    assert 'DAEMON_OPTS="-F 1 -x"' in files(base, "edge01")["/etc/default/chrony"].content


def test_people_log_in_where_they_work_and_nowhere_else(plan: Plan) -> None:
    path = "/etc/ssh/sshd_config.d/10-platform.conf"
    assert "DenyUsers alice bob\n" in files(run(plan, "base"), "mirror01")[path].content
    for host in ("login01", "edge01"):
        assert "DenyUsers" not in files(run(plan, "base"), host)[path].content


def test_members_are_users_on_every_host_sorted_by_name(plan: Plan) -> None:
    assert [(user.name, user.uid) for user in run(plan, "base").users] == [("alice", 20001), ("bob", 20002)]
    assert set(run(plan, "base").hosts) == {host.name for host in plan.hosts}


def test_a_worker_has_no_file_of_its_own_in_base(plan: Plan) -> None:
    assert set(run(plan, "base").host_files) == {"mirror01"}


def test_gpus_are_simulated_with_ids_of_their_own(plan: Plan) -> None:
    gpu = run(plan, "gpu")
    assert gpu.hosts == ("edge01", "edge02")
    found = [
        item["uuid"]
        for host in gpu.hosts
        for item in json.loads(files(gpu, host)["/etc/platform-iac/gpus.json"].content)["gpus"]
    ]
    assert len(set(found)) == 16
    assert (
        "c /dev/nvidia7 0666 root root - 195:7\n" in files(gpu, "edge01")["/etc/tmpfiles.d/simulated-gpus.conf"].content
    )


def test_checks_ask_every_host_and_would_notice_a_missing_gpu(plan: Plan) -> None:
    check = next(check for check in plan.checks if check.name == "edge01 has its 8 GPUs")
    assert re.search(check.expect, "NVIDIA H100 80GB HBM3\n" * 8, re.MULTILINE)
    assert not re.search(check.expect, "NVIDIA H100 80GB HBM3\n" * 7, re.MULTILINE)
    assert {check.host for check in plan.checks} == {host.name for host in plan.hosts}


def test_checks_would_notice_another_package_source(plan: Plan) -> None:
    check = next(check for check in plan.checks if check.name == "edge01 installs from the mirror only")
    good = "'http://mirror01/debian/./InRelease' ._InRelease 0 \n"
    assert re.search(check.expect, good, re.MULTILINE)
    assert not re.search(check.expect, good + "'http://deb.example.org/debian/InRelease' x 0 \n", re.MULTILINE)


def test_checks_would_notice_a_wrong_uid(plan: Plan) -> None:
    check = next(check for check in plan.checks if check.name == "edge01 knows every member")
    lines = "alice:x:20001:20001::/home/alice:/bin/bash\nbob:x:20002:20002::/home/bob:/bin/bash\n"
    assert re.search(check.expect, lines, re.MULTILINE)
    assert not re.search(check.expect, lines.replace("20002", "20003"), re.MULTILINE)


GUESTS = SPEC.replace(
    "network: 10.77.0.0/24}", "network: 10.77.0.0/24, guests: {pools: [stor], drive_mib: 512}}"
).replace(
    "teams:",
    """\
  stor:
    site: lab
    duty: storage
    hosts: stor01
    addresses: 10.77.0.31
    hardware: {like: nvme-server, disks: [{kind: nvme, purpose: data, count: 4, size_gb: 7680}]}
teams:""",
)


def test_hosts_of_a_named_pool_are_guests_with_a_small_drive_for_each_of_theirs() -> None:
    plan = make(loads(GUESTS))
    (site,) = plan.sites
    assert {host.name: body(site, host) for host in plan.hosts if body(site, host)} == {
        "stor01": {"guest": {"memoryMib": 1024, "drivesMib": [512, 512, 512, 512]}}
    }


def test_a_spec_without_guests_has_ordinary_machines_only(plan: Plan) -> None:
    assert all(not body(plan.sites[0], host) for host in plan.hosts)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (("hosts: login01", f"hosts: {'l' * 33}"), f"`{'l' * 33}` is too long for a twin"),
        (("name: small", f"name: {'s' * 29}"), f"`{'s' * 29}-lab` is too long for a twin"),
        (
            ("network: 10.77.0.0/24", "network: 10.77.0.0/24, forwards: {mlfow: 5000}"),
            "`sites.lab.forwards` names mlfow, but the platform's endpoints are: none",
        ),
    ],
)
def test_what_a_twin_cannot_be_is_refused(change: tuple[str, str], message: str) -> None:
    with pytest.raises(PlanError, match=re.escape(message)):
        make(loads(SPEC.replace(*change)))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (("pools: [stor]", "pools: [infra]"), "pool `infra` serves a folder of this computer"),
        (("count: 4", "count: 25"), "has 25 NVMe data disks, a guest 24 at most"),
    ],
)
def test_what_cannot_be_a_guest_is_refused(change: tuple[str, str], message: str) -> None:
    with pytest.raises(PlanError, match=re.escape(message)):
        make(loads(GUESTS.replace(*change)))


def test_a_pool_of_guests_that_is_not_there_is_refused() -> None:
    with pytest.raises(SpecError, match="nothing in `pools` is called 'store'"):
        loads(GUESTS.replace("pools: [stor]", "pools: [store]"))
