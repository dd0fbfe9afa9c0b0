"""Kind `nfs`: what clients mount with, what servers get, and what is refused."""
# ruff: noqa: E501  a case is one line

from __future__ import annotations

import re
from pathlib import Path

import pytest
from ruamel.yaml import YAML

from platform_iac.plan.context import PlanError
from platform_iac.plan.make import make
from platform_iac.plan.model import Plan, Run
from platform_iac.spec.errors import SpecError
from platform_iac.spec.load import loads
from tests import host_modules

ROLE = Path(__file__).resolve().parents[3] / "roles" / "nfs_client"
BASE = """
apiVersion: platform-iac/v1
name: small
sites:
  dc1:
    kind: onprem
    domain: dc1.example.net
    network: 10.20.0.0/16
    access: {ssh_config: falcon.ssh_config, known_hosts: falcon.known_hosts}
pools:
  stor: {site: dc1, duty: storage, hosts: "nvme[01-02]", addresses: 10.20.2.1, hardware: nvme-server}
  gpu: {site: dc1, duty: compute, hosts: "gpu[01-02]", addresses: 10.20.1.1, hardware: dgx-h100}
  plain: {site: dc1, duty: login, hosts: login01, addresses: 10.20.0.1}
teams:
  vision: {members: {alice: {uid: 20001}}}
storage:
"""
OURS = "kind: nfs, mounted_by: [compute], mount: /home, purpose: home"
SERVED = "served_by: {pool: stor, host: nvme01, address: 10.20.9.1}"
DATA = "kind: nfs, mounted_by: [compute], mount: /data, purpose: datasets"
VAST = "server: {profile: vast, client: vendor, addresses: [10.9.0.1, 10.9.0.2], export: /data}"


def plan(*entries: str) -> Plan:
    return make(loads(BASE + "".join(f"  s{number}: {{{entry}}}\n" for number, entry in enumerate(entries))))


def run(made: Plan, name: str) -> Run:
    return next(run for run in made.runs if run.name == name)


def unit(made: Plan, name: str) -> str:
    found = run(made, "nfs_client_compute")
    return next(file.content for file in found.files if file.path == f"/etc/systemd/system/{name}")


def options(made: Plan, name: str) -> set[str]:
    line = next(line for line in unit(made, name).splitlines() if line.startswith("Options="))
    return set(line.removeprefix("Options=").split(","))


@pytest.mark.parametrize(
    ("entry", "wanted"),
    [
        (f"{DATA}, server: {{profile: generic, addresses: [10.9.0.1], export: /d}}", "vers=4.1 proto=tcp port=2049 nconnect=8"),
        (
            f"{DATA}, transport: rdma, server: {{profile: netapp, addresses: [10.9.0.1], export: /d}}",
            "vers=4.1 proto=rdma port=20049 max_connect=16 rsize=262144 wsize=262144 write=eager",
        ),
        (f"{DATA}, server: {{profile: pure, addresses: [10.9.0.1], export: /d}}", "vers=3 nconnect=16 rsize=524288 wsize=524288"),
        # 800 Gb/s for storage on a DGX H100: 8 connections for each 100 Gb/s.
        (f"{DATA}, {VAST}", "vers=4.1 nconnect=64 pconnect=4 remoteports=10.9.0.1~10.9.0.2"),
        (f"{DATA}, transport: rdma, {VAST}", "nconnect=16 proto=rdma port=20049"),
        (f'{DATA}, version: "3", {VAST}', "vers=3 nconnect=66 mdconnect=2 noextend spread_reads spread_writes"),
    ],
)  # fmt: skip
def test_clients_mount_with_what_the_maker_publishes(entry: str, wanted: str) -> None:
    found = options(plan(entry), "data.mount")
    assert {*wanted.split(), "hard", "nosuid", "nodev", "sec=sys"} <= found


def test_a_host_that_boots_first_waits_for_its_server_and_only_who_needs_the_mount_waits() -> None:
    made = plan(f"{OURS}, {SERVED}")
    assert {"retry=10000", "nofail"} <= options(made, "home.mount")
    assert "\nTimeoutSec=infinity\n" in unit(made, "home.mount")


def test_a_run_that_finds_no_server_ends_and_says_what_to_look_at() -> None:
    # mount itself goes on for a week: what waits for it must not.
    assert host_modules.load("plugins/modules/host_units.py").TIMEOUT_SECONDS <= 300
    tasks = YAML(typ="safe", pure=True).load(ROLE / "tasks" / "configure.yml")
    (mount,) = (task for task in tasks if any("host_units" in part for part in task.get("block", [])))
    (said,) = mount["rescue"]
    message = said["ansible.builtin.fail"]["msg"]
    assert message.startswith("{{ ansible_failed_result.msg }}")
    assert "see that the server runs and that this host reaches it" in message


def test_linux_itself_gets_no_nconnect_over_rdma() -> None:
    found = options(plan(f"{OURS}, transport: rdma, {SERVED}"), "home.mount")
    assert not [option for option in found if option.startswith("nconnect")]


@pytest.mark.parametrize(
    ("entry", "message"),
    [
        (f"{OURS}", "must be clear who serves it — write `server`"),
        (f"{OURS}, {SERVED}, port: 20049", "port 20049 is for RDMA, the transport is tcp — write `transport: rdma`"),
        (f"{OURS}, {SERVED}, transport: rdma, port: 2049", "port 2049 is for TCP, the transport is rdma — write"),
        (f"{OURS}, {SERVED}, transport: rdma, nconnect: 8", "silently ignores nconnect=8 over RDMA — leave `nconnect`"),
        (f"{OURS}, {SERVED}, nconnect: 17", "opens 16 connections to a server at most, nconnect is 17 — lower it"),
        (f"{DATA}, {VAST}, nconnect: 7", "7 connections cannot be spread evenly over 2 addresses — write a multiple of 2"),
        (f"{OURS}, {SERVED}, security: krb5p", "needs a Kerberos realm, which no kind sets up yet — write `sys`"),
        (f"{OURS}, {SERVED}, transport: rdma, network: management", "does not go over management ports — write"),
        (f"{OURS}, {SERVED}, gpudirect: true", "needs RDMA — write `transport: rdma`"),
        (f'{OURS}, {SERVED}, version: "3"', "serve NFS 4 only"),
        (
            f"{OURS}, transport: rdma, served_by: {{pool: stor, daemon: ganesha}}",
            r"Ganesha 4\.3 is built without RDMA — write `daemon: knfsd`",
        ),
        ("kind: nfs, mount: /homes, purpose: home, " + SERVED, "accounts have theirs in /home — mount them there"),
        ("kind: nfs, mount: /usr/share, purpose: software, " + SERVED, "belongs to the operating system — mount at"),
        (f"{DATA}, server: {{profile: netapp, client: vendor, addresses: [10.9.0.1], export: /d}}", "write `client: kernel`"),
    ],
)  # fmt: skip
def test_what_does_not_go_together_is_refused(entry: str, message: str) -> None:
    with pytest.raises(SpecError, match=message):
        plan(entry)


@pytest.mark.parametrize(
    ("entries", "message"),
    [
        ([f"{OURS}, served_by: {{pool: stor, address: 10.20.9.1}}"], "has 2 hosts, and an export has one server — say `host:` nvme01, nvme02"),
        ([f"{OURS}, served_by: {{pool: gpu}}"], "has `duty: compute` — name one with `duty: storage`"),
        ([f"{OURS}, served_by: {{pool: stor, host: nvme01}}"], "are InfiniBand, and 10.20.2.1 is elsewhere — say its IPoIB"),
        ([f"{OURS}, served_by: {{pool: stor, host: nvme01, address: 10.66.0.1}}"], "in none of the networks that may mount"),
        ([f"{OURS}, {SERVED}, quotas_gib: {{vision: 900000}}"], r"quotas promise 900,000 GiB, there are 84,\d+ — lower"),
        ([f"{OURS}, served_by: {{pool: stor, host: nvme01, address: 10.20.9.1, raid: none}}"], "none takes exactly one data disks, nvme01 has 24 — write `raid: raid10`"),
        ([f"kind: nfs, mount: /home, purpose: home, {SERVED}"], "login01 has no port for `network: storage` — give its"),
        ([f"{OURS}, {SERVED}", f"{DATA}, transport: rdma, {SERVED}"], "over the connections of the first — write the same"),
        ([f"{OURS}, {SERVED}", f"kind: nfs, mounted_by: [compute], mount: /home, purpose: home, {VAST}"], "has two file systems at /home — give one"),
        ([f"{DATA}, {VAST}, nconnect: 32"], "has 800 Gb/s, for which vast asks 64 connections over TCP, not 32 — raise it"),
    ],
)  # fmt: skip
def test_what_does_not_fit_the_hosts_is_refused(entries: list[str], message: str) -> None:
    with pytest.raises(PlanError, match=message):
        plan(*entries)


def test_exports_squash_root_and_name_networks_only() -> None:
    made = run(plan(f"{OURS}, {SERVED}"), "nfs_server")
    exports = next(file.content for file in made.files if file.path.endswith(".exports"))
    line = exports.splitlines()[-1] or exports.splitlines()[-2]
    assert line == "/srv/nfs/s0 10.20.0.0/16(rw,sync,root_squash,no_subtree_check,sec=sys,fsid=739788068)"
    assert "no_root_squash" not in exports
    assert "*" not in line


GANESHA = "served_by: {pool: stor, host: nvme01, address: 10.20.9.1, daemon: ganesha}"
PLACE = "kind: nfs, mounted_by: [compute], purpose: project"


def named(served: str, *names: str) -> Plan:
    return make(loads(BASE + "".join(f"  {name}: {{{PLACE}, mount: /{name}, {served}}}\n" for name in names)))


def numbers(made: Plan) -> dict[str, str]:
    """Return the number that handles of each export bear, by its path."""
    text = "".join(file.content for file in run(made, "nfs_server").files)
    kernel = dict(re.findall(r"^(/srv/nfs/\w+) .*fsid=(\d+)\)$", text, re.MULTILINE))
    return kernel | {path: number for number, path in re.findall(r"Export_Id = (\d+);\s+Path = (\S+);", text)}


@pytest.mark.parametrize("served", [SERVED, GANESHA])
def test_the_number_of_an_export_stays_when_others_come_and_go(served: str) -> None:
    few = numbers(named(served, "middle"))
    many = numbers(named(served, "above", "middle", "under"))
    assert len(many) == len(set(many.values())) == 3
    assert few == {path: many[path] for path in few}
    assert set(many.values()).isdisjoint({"0", "1", "2", "3"}), "positions would move"
    assert served == SERVED or all(int(number) < 2**16 for number in many.values())


@pytest.mark.parametrize(("served", "names"), [(SERVED, ("hikkcm", "mpfumi")), (GANESHA, ("aabq", "aaop"))])
def test_exports_of_one_number_are_refused(served: str, names: tuple[str, str]) -> None:
    message = f"nvme01 would export `{names[0]}` and `{names[1]}` under the same number — rename the newer one"
    with pytest.raises(PlanError, match=message):
        named(served, *names)


def test_the_server_makes_homes_and_hosts_that_mount_them_do_not() -> None:
    made = plan(f"{OURS}, {SERVED}, quotas_gib: {{vision: 100}}")
    values = run(made, "nfs_server").host_vars["nvme01"]
    home = values["folders"]["/srv/nfs/s0/alice"]
    assert home == {"owner": 20001, "group": 20001, "mode": "0700", "skeleton": True}
    assert values["projects"]["s0/vision"]["paths"] == ["/srv/nfs/s0/alice"]
    shared = {name for name, own in run(made, "base").host_vars.items() if own.get("shared_homes")}
    assert shared == {"gpu01", "gpu02"}


def test_a_server_is_the_same_when_a_node_joins() -> None:
    few, many = (
        make(loads(text + f"  home: {{{OURS}, {SERVED}}}\n"))
        for text in (BASE, BASE.replace("gpu[01-02]", "gpu[01-09]"))
    )
    assert run(few, "nfs_server") == run(many, "nfs_server")
    assert run(few, "nfs_client_compute").files == run(many, "nfs_client_compute").files


def test_ganesha_serves_the_same_exports_over_tcp() -> None:
    made = run(
        plan(f"{OURS}, served_by: {{pool: stor, host: nvme01, address: 10.20.9.1, daemon: ganesha}}"), "nfs_server"
    )
    text = next(file.content for file in made.files if file.path == "/etc/ganesha/ganesha.conf")
    assert "Squash = Root_Squash;" in text
    assert "Clients = 10.20.0.0/16;" in text
    assert [unit.name for unit in made.units] == ["nfs-ganesha.service", "srv-nfs.mount"]


def test_gpudirect_is_for_real_gpus_only() -> None:
    entry = f"{DATA}, transport: rdma, gpudirect: true, {VAST}"
    real = run(plan(entry), "nfs_client_compute")
    assert "/etc/cufile.json" in {file.path for file in real.files}
    assert real.vars["gpudirect_packages"] == ("nvidia-gds",)
    access = BASE[BASE.index("    access") : BASE.index("pools")]
    lab = BASE.replace("kind: onprem", "kind: lab").replace(access, "").replace("10.20.0.1}", "10.20.0.9}")
    twin = make(loads(f"{lab}  d: {{{entry}}}\n"))
    assert "/etc/cufile.json" not in {file.path for file in run(twin, "nfs_client_compute").files}
