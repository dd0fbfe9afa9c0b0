"""Roles ceph_cluster and ceph_client on machines: the acceptance, who may see what, and what survives a loss."""

from __future__ import annotations

import json
import re
import subprocess
from collections.abc import Callable
from dataclasses import replace

import pytest

from platform_iac.checks.remote import Remote
from platform_iac.checks.run import judge
from platform_iac.lab import machine
from platform_iac.plan.make import make
from platform_iac.spec.load import loads
from tests.roles.ceph.conftest import SPEC, wait
from tests.twin_support import machines
from tests.twin_support.acceptance import accept, unchanged
from tests.twin_support.ansible import play
from tests.twin_support.machines import Lab

pytestmark = pytest.mark.twin

Report = Callable[[str, object], None]
STORAGE = ("stor01", "stor02", "stor03")

# Each record is on the disks (fsync) before it counts; the count is kept on the machine itself.
LOAD = """
import json, os, sys, time
path, count, stop = sys.argv[1:]
file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
done, worst = 0, 0.0
while not os.path.exists(stop):
    begun = time.monotonic()
    os.write(file, b"%08d" % done + b"." * 4088)
    os.fsync(file)
    done, worst = done + 1, max(worst, time.monotonic() - begun)
    with open(count + ".new", "w") as told:
        json.dump({"done": done, "worst": round(worst, 1)}, told)
    os.rename(count + ".new", count)
    time.sleep(0.02)
os.close(file)
"""
VERIFY = """
import sys
with open(sys.argv[1], "rb") as file:
    for number in range(int(sys.argv[2])):
        record = file.read(4096)
        assert record == b"%08d" % number + b"." * 4088, (number, record[:20])
print("whole")
"""
FETCH = """
import io, re, sys, urllib.parse, urllib.request, zipfile
for name in sys.argv[1:]:
    page = "http://mirror01/pypi/simple/%s/" % name
    link = re.search('href="([^"#]+)', urllib.request.urlopen(page).read().decode())[1]
    wheel = urllib.request.urlopen(urllib.parse.urljoin(page, link)).read()
    zipfile.ZipFile(io.BytesIO(wheel)).extractall("/opt/s3client")
"""
S3 = """
import hashlib, json, os, sys
sys.path.insert(0, "/opt/s3client")
import boto3, botocore
from boto3.s3.transfer import TransferConfig
where = sys.argv[1]
client = boto3.client("s3", endpoint_url=where, region_name="us-east-1")
assert [bucket["Name"] for bucket in client.list_buckets()["Buckets"]] == ["models"]
client.put_object(Bucket="models", Key="small", Body=b"forty-two")
assert client.get_object(Bucket="models", Key="small")["Body"].read() == b"forty-two"
body = os.urandom(12 << 20)
with open("/tmp/large", "wb") as file:
    file.write(body)
parts = TransferConfig(multipart_threshold=5 << 20, multipart_chunksize=5 << 20)
client.upload_file("/tmp/large", "models", "large", Config=parts)
answer = client.get_object(Bucket="models", Key="large")
assert hashlib.sha256(answer["Body"].read()).digest() == hashlib.sha256(body).digest()
assert answer["ETag"].strip('"').endswith("-3"), answer["ETag"]
try:
    client.create_bucket(Bucket="another")
except botocore.exceptions.ClientError as error:
    print("refused", error.response["Error"]["Code"])
print(sorted(item["Key"] for item in client.list_objects_v2(Bucket="models")["Contents"]))
"""
CHUNKS = """
import errno, sys
for chunk in range(32):
    try:
        with open("%s/chunk%d" % (sys.argv[1], chunk), "wb") as file:
            file.write(bytes(8 << 20))
            file.flush()
    except OSError as error:
        print(errno.errorcode[error.errno], chunk)
        break
"""


def python(lab: Lab, host: str, program: str, *words: str, user: str = "root", env: str = "") -> machines.Done:
    """Run a program on a host, after putting it there as a file."""
    argv = ["ssh", "-F", str(lab.ssh_config), host, "cat > /tmp/program.py"]
    subprocess.run(argv, input=program, text=True, timeout=60, check=True)
    return lab.run(host, f"{env} python3 /tmp/program.py {' '.join(words)}", user=user, timeout=300)


def status(lab: Lab, *, ask: str = "stor01") -> dict[str, object]:
    done = lab.run(ask, "timeout 20 ceph --connect-timeout 10 status --format json 2>/dev/null", timeout=60)
    return dict(json.loads(done.text)) if done.rc == 0 else {}


def whole(lab: Lab, *, ask: str = "stor01") -> bool:
    """Whether every disk is up, every object has its copies, every monitor and file system is there."""
    found = status(lab, ask=ask)
    if not found:
        return False
    osds, groups = found["osdmap"], found["pgmap"]
    assert isinstance(osds, dict)
    assert isinstance(groups, dict)
    clean = all(group["state_name"].startswith("active+clean") for group in groups["pgs_by_state"])
    names = found["quorum_names"]
    return clean and osds["num_up_osds"] == len(STORAGE) and isinstance(names, list) and len(names) == len(STORAGE)


def up(lab: Lab) -> int:
    """How many disks the cluster says are up; -1 where it does not answer."""
    osds = status(lab).get("osdmap")
    return int(osds["num_up_osds"]) if isinstance(osds, dict) else -1


def test_the_cluster_passes_the_acceptance(lab: Lab) -> None:
    # Accounts that Debian keeps when packages go: ceph-common, uuid-runtime and rdma-core brought them.
    accept(lab, "ceph_cluster", stays=r"(user|group) (ceph|uuidd)|group rdma")


def test_every_daemon_can_write_its_log(lab: Lab) -> None:
    for host in STORAGE:
        owners = lab.ok(host, "stat -c %U /var/log/ceph/ceph-*.log").split()
        assert set(owners) == {"ceph"}, lab.ok(host, "ls -l /var/log/ceph")


def test_the_clients_pass_the_acceptance(lab: Lab) -> None:
    accept(lab, "ceph_client", stays=r"(user|group) ceph|group rdma")
    assert whole(lab)


def test_a_member_who_joins_later_gets_a_home_in_the_cluster(lab: Lab) -> None:
    spec = SPEC.replace("bob: {uid: 20002}", "bob: {uid: 20002}, carol: {uid: 20003}")
    later = replace(lab, plan=make(loads(spec)))
    play(later, "base").ok()
    assert lab.run("login01", "test -e /home/carol").rc != 0, "the role base made a home in the shared file system"
    play(later, "ceph_cluster").ok()
    lab.ok("login01", "touch hers", user="carol")
    assert lab.ok("login02", "readlink -f ~ && ls", user="carol").split() == ["/home/language/carol", "hers"]
    unchanged(later, "base")


def test_homes_and_mounts_are_what_the_other_roles_expect(lab: Lab) -> None:
    assert lab.ok("login01", "stat -Lc '%a %U' /home/alice").strip() == "700 alice"
    assert lab.ok("login01", "cd && readlink -f ~ && test -f .profile", user="alice").strip() == "/home/vision/alice"
    assert lab.run("login01", "ls /home/vision/alice", user="bob").rc != 0


def test_checks_of_the_plan_pass(lab: Lab) -> None:
    checks = [check for check in lab.plan.checks if "ceph" in f"{check.name} {check.argv}" or "/datasets" in check.name]
    assert len(checks) >= 8
    remote = Remote(str(lab.ssh_config))
    results = [judge(check, remote) for check in checks]
    assert not [f"{result.check.name}: {result.reason}" for result in results if not result.passed]


def test_what_one_client_writes_another_reads(lab: Lab) -> None:
    lab.ok("login01", "echo from-one > /datasets/vision/alice/note && sync /datasets/vision/alice/note", user="alice")
    assert lab.ok("login02", "cat /datasets/vision/alice/note", user="bob").strip() == "from-one"
    assert lab.run("login02", "touch /datasets/vision/alice/other", user="bob").rc != 0


def test_a_team_cannot_fill_more_than_its_quota(lab: Lab) -> None:
    ours = "/datasets/vision/alice"
    assert "quota" in lab.run("login01", f"truncate -s 2G {ours}/big", user="alice").text
    lab.ok("login01", f"truncate -s 1000M {ours}/big && sync {ours}/big", user="alice")
    # Clients enforce the limit, from sums that they hear a little later: it stops soon after, not at once.
    done = python(lab, "login01", CHUNKS, ours, user="alice")
    found = re.search(r"EDQUOT (\d+)", done.text)
    assert found, done.text
    lab.ok("login01", f"rm -f {ours}/big {ours}/chunk*", user="alice")
    assert lab.run("login02", "echo more > /datasets/language/bob/more", user="bob").rc == 0


def test_the_key_of_one_file_system_opens_no_other(lab: Lab) -> None:
    mount = "timeout 60 ceph-fuse --id mount-datasets --client_fs {} --client_mount_timeout 15 /mnt"
    lab.ok("login01", f"{mount.format('datasets')} && mountpoint /mnt && umount /mnt")
    denied = lab.run("login01", f"{mount.format('home')} && ls /mnt", timeout=120)
    assert denied.rc != 0, denied.text
    lab.ok("login01", "if mountpoint -q /mnt; then umount -l /mnt; fi")
    assert "Permission denied" in lab.run("login01", "cat /etc/ceph/ceph.client.mount-home.keyring", user="alice").text


def test_secrets_are_in_no_argument_and_no_journal(lab: Lab) -> None:
    for host in ("stor01", "login01"):
        said = lab.ok(
            host, "cat /proc/[0-9]*/cmdline /proc/[0-9]*/environ 2>/dev/null | tr '\\0' ' '; journalctl -o cat"
        )
        assert not [name for name, secret in lab.secrets.items() if secret in said]


def test_objects_are_put_got_and_uploaded_in_parts(lab: Lab) -> None:
    packages = ("boto3", "botocore", "s3transfer", "jmespath", "python-dateutil", "six", "urllib3")
    python(lab, "login01", FETCH, *packages).ok()
    env = f"AWS_ACCESS_KEY_ID=models AWS_SECRET_ACCESS_KEY={lab.secrets['ceph.s3.models']}"
    for host in STORAGE[:2]:
        done = python(lab, "login01", S3, f"http://{host}:7480", env=env)
        assert "refused TooManyBuckets" in done.text, done.text
        assert "['large', 'small']" in done.text
    wrong = python(lab, "login01", S3, "http://stor01:7480", env="AWS_ACCESS_KEY_ID=models AWS_SECRET_ACCESS_KEY=guess")
    assert "SignatureDoesNotMatch" in wrong.text


def test_nothing_is_written_below_a_file_system_that_is_not_mounted(lab: Lab) -> None:
    lab.ok("login02", "systemctl stop ceph-mount-home.service")
    try:
        denied = lab.run("login02", "runuser -u bob -- touch /home/bob/lost")
        assert "Permission denied" in denied.text
    finally:
        lab.ok("login02", "systemctl start ceph-mount-home.service")
    lab.ok("login02", "touch kept && test -e /home/language/bob/kept", user="bob")


def test_a_client_that_dies_comes_back_by_itself(lab: Lab) -> None:
    lab.ok("login02", "systemctl kill --signal=KILL --kill-who=main ceph-mount-datasets.service")
    ask = "timeout 5 cat /datasets/vision/alice/note"
    wait("mounted again", lambda: "from-one" in lab.run("login02", ask).text, seconds=60)


def test_a_host_that_lost_its_system_takes_its_disk_back(lab: Lab) -> None:
    before = lab.ok("stor03", "cat /var/lib/ceph/osd/ceph-*/whoami").strip()
    lab.ok("stor03", f"systemctl stop ceph-osd@{before}.service && rm -r /var/lib/ceph/osd/ceph-{before}")
    again = play(lab, "ceph_cluster").ok()
    assert again.changed["stor03"], again.output
    assert not again.changed["stor01"], again.output
    assert lab.ok("stor03", "cat /var/lib/ceph/osd/ceph-*/whoami").strip() == before
    wait("whole", lambda: whole(lab))


class Load:
    """A member's program that writes and syncs on login01, up to 50 records a second: the test is not of speed."""

    def __init__(self, lab: Lab, name: str) -> None:
        self.lab, self.name, self.path = lab, name, f"/home/vision/alice/{name}"
        self.count, self.end = f"/run/load-{name}.json", f"/run/load-{name}.stop"
        argv = ["ssh", "-F", str(lab.ssh_config), "login01", "cat > /tmp/load.py"]
        subprocess.run(argv, input=LOAD, text=True, timeout=60, check=True)
        lab.ok("login01", f"install -o alice -m 0644 /dev/null {self.count} && install -d -o alice /run/load")
        self.count = f"/run/load/{name}.json"
        command = f"python3 /tmp/load.py {self.path} {self.count} {self.end}"
        lab.ok("login01", f"systemd-run --unit=load-{name} --uid=alice {command}")
        self.more(20)

    def done(self) -> int:
        said = self.lab.run("login01", f"cat {self.count}").text
        return int(json.loads(said)["done"]) if said.startswith("{") else 0

    def more(self, count: int) -> float:
        """Wait until so many more records are written, and return the seconds."""
        aim = self.done() + count

        def written() -> bool:
            unit = f"load-{self.name}.service"
            state = self.lab.run("login01", f"systemctl is-active {unit} || journalctl -o cat -u {unit}").text
            assert state.startswith("active"), state
            return self.done() >= aim

        return wait(f"{count} more records of {self.name}", written)

    def finish(self) -> float:
        """Stop writing, assert on the other client that every record is there, and return the longest stall."""
        self.lab.ok("login01", f"touch {self.end}")
        unit = f"load-{self.name}.service"
        wait("the load ends", lambda: self.lab.run("login01", f"systemctl is-active {unit}").rc != 0)
        told = json.loads(self.lab.ok("login01", f"cat {self.count}"))
        verdict = python(self.lab, "login02", VERIFY, self.path, str(told["done"]))
        assert "whole" in verdict.text, f"{told}: {verdict.text}"
        return float(told["worst"])


def server_of(lab: Lab, filesystem: str) -> str:
    """Return the host whose metadata server works for a file system."""
    found = re.search(rf"\b{filesystem}:0=(\w+)=up:active", lab.ok("stor01", "ceph mds stat"))
    assert found
    return found[1]


def test_a_disk_that_dies_under_load_costs_no_record(lab: Lab, record_property: Report) -> None:
    load = Load(lab, "disk")
    osd = f"ceph-osd@{lab.ok('stor02', 'cat /var/lib/ceph/osd/ceph-*/whoami').strip()}.service"
    lab.ok("stor02", f"systemctl kill --signal=KILL {osd} && systemctl stop {osd}")  # or systemd begins it again
    try:
        wait("its loss is noticed", lambda: up(lab) == len(STORAGE) - 1)
        load.more(20)
    finally:
        lab.ok("stor02", f"systemctl start {osd}")
    wait("whole", lambda: whole(lab))
    record_property("stall_seconds", load.finish())


def test_a_storage_machine_that_loses_power_under_load_costs_no_record(lab: Lab, record_property: Report) -> None:
    load = Load(lab, "machine")
    victim = server_of(lab, "home")
    other = next(host for host in STORAGE if host != victim)
    machine.stop(lab.name, victim)
    try:
        wait("its loss is noticed", lambda: bool(found := status(lab, ask=other)) and len(found["quorum_names"]) == 2)  # type: ignore[arg-type]
        load.more(20)
    finally:
        machine.start(lab.name, victim)
    wait("whole", lambda: whole(lab, ask=other))
    # Election 15 s, beacons 6 s, replay; Ceph's own `mds_beacon_mon_down_grace` would make it more than 75 s.
    stall = load.finish()
    record_property("stall_seconds", stall)
    assert stall < 60


def test_a_storage_machine_without_network_under_load_costs_no_record(lab: Lab, record_property: Report) -> None:
    load = Load(lab, "network")
    victim = "stor03"
    port = ["nsenter", "-t", str(machine.leader(lab.name, victim)), "-n", "ip", "link", "set", "host0"]
    subprocess.run([*port, "down"], timeout=30, check=True)
    try:
        wait("its loss is noticed", lambda: bool(found := status(lab)) and len(found["quorum_names"]) == 2)  # type: ignore[arg-type]
        load.more(20)
    finally:
        subprocess.run([*port, "up"], timeout=30, check=True)
    wait("whole", lambda: whole(lab))
    record_property("stall_seconds", load.finish())
    unchanged(lab, "ceph_client")
