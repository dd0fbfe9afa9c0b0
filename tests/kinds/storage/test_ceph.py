"""Storage `ceph`: what its hosts and clients get, and which specs cannot be a cluster."""

from __future__ import annotations

import json
import re

import pytest

from platform_iac.kinds.storage.ceph import config
from platform_iac.plan.context import PlanError
from platform_iac.plan.export import value
from platform_iac.plan.make import make
from platform_iac.plan.model import Plan, Run
from platform_iac.spec.errors import SpecError
from platform_iac.spec.load import loads

TWIN = """
apiVersion: platform-iac/v1
name: small
sites:
  lab: {kind: lab, domain: lab.example.net, network: 10.77.0.0/24}
pools:
  infra: {site: lab, duty: mirror, hosts: mirror01, addresses: 10.77.0.10}
  ctl: {site: lab, duty: controller, hosts: ctl01, addresses: 10.77.0.11}
  login: {site: lab, duty: login, hosts: login01, addresses: 10.77.0.12}
  svc: {site: lab, duty: services, hosts: svc01, addresses: 10.77.0.13}
  gpu: {site: lab, duty: compute, hosts: "gpu[01-02]", addresses: 10.77.0.21, hardware: dgx-h100}
  stor: {site: lab, duty: storage, hosts: "stor[01-03]", addresses: 10.77.0.31}
storage:
  ceph:
    kind: ceph
    pool: stor
    filesystems:
      home: {mount: /home, purpose: home, quotas_gib: {vision: 2}}
      datasets: {mount: /datasets, purpose: datasets, quotas_gib: {vision: 1}}
    s3: {buckets: {mlflow: {quota_gib: 1}}}
scheduler: {kind: slurm, partitions: {gpu: {pools: [gpu], default: true}}}
services:
  mlflow: {kind: mlflow}
teams:
  vision: {members: {bob: {uid: 20002}, alice: {uid: 20001}}}
"""

METAL = """
apiVersion: platform-iac/v1
name: big
sites:
  dc1:
    kind: onprem
    domain: dc1.example.net
    network: 10.20.0.0/16
    access: {ssh_config: /etc/ssh/ssh_config, known_hosts: /etc/ssh/known_hosts}
pools:
  login: {site: dc1, duty: login, hosts: login01, addresses: 10.20.0.21}
  stor: {site: dc1, duty: storage, hosts: "nvme[01-05]", addresses: 10.20.0.41, hardware: nvme-server}
storage:
  ceph:
    kind: ceph
    pool: stor
    devices: "/dev/nvme[2-25]n1"
    monitors: 5
    cluster_network: 10.30.0.0/24
    client: kernel
    filesystems:
      home: {mount: /home, purpose: home, quotas_gib: {vision: 50000}}
teams:
  vision: {members: {alice: {uid: 20001}}}
"""


@pytest.fixture(scope="module")
def plan() -> Plan:
    return make(loads(TWIN))


def run(plan: Plan, name: str) -> Run:
    return next(run for run in plan.runs if run.name == name)


def text(plan: Plan, name: str, path: str) -> str:
    own = [file for files in run(plan, name).host_files.values() for file in files]
    return next(file.content for file in (*run(plan, name).files, *own) if file.path == path)


def refused(spec: str) -> str:
    with pytest.raises((PlanError, SpecError)) as caught:
        make(loads(spec))
    return str(caught.value)


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        ('"stor[01-03]"', '"stor[01-02]"', "3 monitors need as many hosts, pool `stor` has 2 — add hosts"),
        ("pool: stor", "{pool: stor, monitors: 5}", "5 monitors need as many hosts, pool `stor` has 3"),
        ("pool: stor", "{pool: stor, replicas: 4}", "4 copies on different hosts need 4 hosts, pool `stor` has 3"),
        ("pool: stor", "{pool: gpu}", "pool `gpu` has `duty: compute` — take one with `duty: storage`"),
        ("pool: stor", "{pool: stro}", "did you mean `stor`?"),
        ("pool: stor", "{pool: stor, monitors: 4}", "4 monitors may lose no more than 3 — write an odd"),
        ("pool: stor", "{pool: stor, min_replicas: 3}", "one lost host would stop all writes — write 2 or less"),
        ("{vision: 2}", "{vision: 9}", "quotas promise 11 GiB, 3 hosts hold 6 GiB in 3 copies at 80% full — lower"),
        ("{vision: 2}", "{vison: 2}", "did you mean `vision`?"),
        ("mount: /datasets", "mount: /home/datasets", "/home/datasets lies inside /home — mount file systems beside"),
        ("mount: /datasets, purpose: datasets", "mount: /home, purpose: home", "are mounted at /home — give each its"),
        ("mount: /home,", "mount: /people,", "homes are mounted at /people, but accounts have theirs in /home"),
        ("purpose: datasets", "purpose: home", "homes are mounted at /datasets, but accounts have theirs in /home"),
        ("mount: /datasets", "mount: /usr/data", "/usr/data belongs to the operating system — mount at /home"),
        ("pool: stor", "{pool: stor, devices: nvme0n1}", "is no list of disks — write device names as a hostlist"),
    ],
)
def test_what_cannot_be_a_cluster_says_why_and_what_to_do(old: str, new: str, says: str) -> None:
    lines = "".join(f"    {line}\n" for line in new.strip("{}").split(", ")) if new.startswith("{pool") else new
    told = refused(TWIN.replace("    pool: stor\n" if old == "pool: stor" else old, lines, 1))
    assert says in told, told


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        ('    devices: "/dev/nvme[2-25]n1"\n', "", "name the 24 data disks of each host in `devices`"),
        ("[2-25]", "[2-9]", "`devices` names 8 disks, nvme01 has 24 with `purpose: data` — make them agree"),
        ("10.30.0.0/24", "10.20.8.0/24", "cluster_network 10.20.8.0/24 overlaps 10.20.0.0/16 of site `dc1`"),
        ("hardware: nvme-server", "hardware: cpu-server", "has no disk with `purpose: data` — add some"),
    ],
)
def test_disks_and_networks_fit_the_hardware(old: str, new: str, says: str) -> None:
    assert says in refused(METAL.replace(old, new))


def test_a_pool_of_real_servers_is_planned_with_their_disks_and_the_kernels_client() -> None:
    plan = make(loads(METAL))
    cluster = run(plan, "ceph_cluster")
    assert list(cluster.vars["monitors"]) == ["nvme01", "nvme02", "nvme03", "nvme04", "nvme05"]
    assert len(cluster.host_vars["nvme05"]["disks"]) == 24
    assert set(cluster.host_vars["nvme05"]["disks"].values()) == {0}
    conf = text(plan, "ceph_cluster", config.CONF)
    assert "cluster network = 10.30.0.0/24" in conf
    assert "heartbeat grace" not in conf, "the twin's short times are the twin's alone"
    unit = text(plan, "ceph_client", "/etc/systemd/system/ceph-mount-home.service")
    assert "mount -t ceph -o name=mount-home,mds_namespace=home" in unit
    assert ",nodev,nosuid " in unit
    assert "ceph-fuse" not in unit


def test_the_cluster_comes_first_then_its_clients_then_those_who_work_on_them(plan: Plan) -> None:
    names = [run.name for run in plan.runs]
    for later in ("slurm_node", "slurm_login", "mlflow_client"):
        assert names.index("ceph_cluster") < names.index("ceph_client") < names.index(later)
    assert names.index("ceph_cluster") < names.index("mlflow")
    assert "Before=slurmd.service" in text(plan, "ceph_client", "/etc/systemd/system/ceph-mount-home.service")
    assert "RequiredBy=slurmd.service" in text(plan, "ceph_client", "/etc/systemd/system/ceph-mount-home.service")


def test_accounts_and_health_checks_of_clients_know_its_mounts(plan: Plan) -> None:
    homes = {host for host, values in run(plan, "base").host_vars.items() if values.get("shared_homes")}
    assert homes == {"login01", "gpu01", "gpu02"}
    health = json.loads(text(plan, "slurm_node", "/etc/platform-iac/node-health.json"))
    assert health["mounts"] == [
        {"path": "/datasets", "types": ["fuse.ceph-fuse"]},
        {"path": "/home", "types": ["fuse.ceph-fuse"]},
    ]


def test_file_systems_with_floors_are_measured_by_jobs_where_members_write() -> None:
    floors = "floors: {nodes: 2, read_mib: 100}"
    made = make(loads(re.sub(r"purpose: \w+,", rf"\g<0> {floors},", TWIN)))
    assert {store.name: store.directory for store in made.stores} == {
        "ceph-home": "/home/{user}",
        "ceph-datasets": "/datasets/vision/{user}",
    }
    assert "fio" in run(made, "slurm_node").packages
    assert "fio" not in run(make(loads(TWIN)), "slurm_node").packages


def test_another_storage_cannot_be_mounted_at_the_same_place() -> None:
    server = "{profile: generic, addresses: [10.77.0.99], export: /x}"
    nfs = f"  more: {{kind: nfs, mount: /home, purpose: home, server: {server}}}\n"
    said = refused(TWIN.replace("scheduler:", f"{nfs}scheduler:", 1))
    assert "two file systems at /home — give one another `mount`" in said, said


def test_clients_are_logins_and_nodes_and_know_nothing_of_each_other(plan: Plan) -> None:
    assert run(plan, "ceph_client").hosts == ("login01", "gpu01", "gpu02")
    more = make(loads(TWIN.replace("gpu[01-02]", "gpu[01-03]")))
    for name in ("ceph_client", "ceph_cluster"):
        before, after = value(run(plan, name)), value(run(more, name))
        assert {**before, "hosts": []} == {**after, "hosts": []}


def test_every_secret_is_a_placeholder_and_the_clients_get_only_the_keys_of_their_mounts(plan: Plan) -> None:
    secrets = {secret.name: secret for secret in plan.secrets if secret.name.startswith("ceph.")}
    assert sorted(secrets) == [
        "ceph.admin",
        "ceph.monitors",
        "ceph.mount.datasets",
        "ceph.mount.home",
        "ceph.s3.mlflow",
    ]
    assert {name: secret.form for name, secret in secrets.items() if secret.form == "hex"} == {"ceph.s3.mlflow": "hex"}
    assert run(plan, "ceph_client").secrets == ("ceph.mount.datasets", "ceph.mount.home")
    files = {file.path: file for file in run(plan, "ceph_client").files}
    assert files["/etc/ceph/ceph.client.mount-home.keyring"].mode == "0600"
    assert "ceph.admin" not in json.dumps(value(run(plan, "ceph_client")))


def test_a_mounts_key_is_for_one_file_system(plan: Plan) -> None:
    keyring = text(plan, "ceph_cluster", config.CLIENTS_KEYRING)
    home = keyring.partition("[client.mount-home]")[2]
    assert re.findall(r'caps (\w+) = "(.*)"', home) == [
        ("mds", "allow rw fsname=home"),
        ("mon", "allow r fsname=home"),
        ("osd", "allow rw tag cephfs data=home"),
    ]


def test_homes_lie_in_their_teams_directory_which_has_the_quota(plan: Plan) -> None:
    trees = run(plan, "ceph_cluster").host_vars["stor01"]["declared"]["trees"]
    home = trees["home"]
    assert home["folders"]["/vision"] == {"mode": "0755", "quota_bytes": 2 * 2**30}
    assert home["folders"]["/vision/alice"] == {"mode": "0700", "uid": 20001, "skeleton": True}
    assert home["links"] == {"/alice": "vision/alice", "/bob": "vision/bob"}
    assert trees["datasets"]["folders"]["/vision/alice"]["mode"] == "0755"
    assert not trees["datasets"]["links"]


def test_one_host_declares_what_is_in_the_cluster(plan: Plan) -> None:
    own = run(plan, "ceph_cluster").host_vars
    assert [host for host, values in own.items() if "declared" in values] == ["stor01"]
    assert [host for host, values in own.items() if "mgr" in values["daemons"]] == ["stor01", "stor02"]
    assert list(run(plan, "ceph_cluster").host_files) == ["stor01"]


def test_the_clusters_id_is_the_same_for_the_same_platform_and_no_other(plan: Plan) -> None:
    other = make(loads(TWIN.replace("name: small", "name: other")))
    ids = {run(found, "ceph_cluster").vars["fsid"] for found in (plan, make(loads(TWIN)), other)}
    assert len(ids) == 2


def test_there_is_no_gateway_without_an_object_store() -> None:
    plan = make(loads(TWIN.replace("    s3: {buckets: {mlflow: {quota_gib: 1}}}\n", "")))
    assert "radosgw" not in run(plan, "ceph_cluster").packages
    assert "rgw" not in text(plan, "ceph_cluster", config.CONF)
    assert not [check for check in plan.checks if "S3" in check.name]


def test_every_client_and_gateway_is_checked(plan: Plan) -> None:
    names = [check.name for check in plan.checks]
    assert [name for name in names if "/datasets and /home" in name] == [
        f"{host} has /datasets and /home" for host in ("login01", "gpu01", "gpu02")
    ]
    assert sum("answers S3" in name for name in names) == 3
