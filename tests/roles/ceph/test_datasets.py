"""Role datasets on machines: moves that are killed, read back, copied on, changed by hand, and let go."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import replace

import pytest

from platform_iac.checks.remote import Remote
from platform_iac.checks.run import judge
from platform_iac.plan.make import make
from platform_iac.spec.load import loads
from tests.roles.ceph.conftest import SPEC, wait
from tests.twin_support.acceptance import accept
from tests.twin_support.ansible import play
from tests.twin_support.machines import Lab

pytestmark = pytest.mark.twin

HOME = "/datasets/vision/pieces"
UNIT = "platform-dataset@pieces.service"
PIECES, SLOW, SLOW_MIB = 6, 12, 2
SEED = f"""
set -e
for version in 1 2 3; do
  install -d /srv/pieces/$version/deep
  for number in 1 2 3 4 5 deep/6; do head -c 1M /dev/urandom > /srv/pieces/$version/$number; done
done
install -d /srv/slow/1
for number in $(seq {SLOW}); do head -c {SLOW_MIB}M /dev/urandom > /srv/slow/1/$number; done
ssh-keygen -q -t ed25519 -N '' -f /srv/outbox-key
ssh-keyscan -t ed25519 login02.lab.example.net > /srv/outbox-known 2>/dev/null
install -d -o bob -g bob -m 0700 /home/bob/.ssh
install -o bob -g bob -m 0600 /srv/outbox-key.pub /home/bob/.ssh/authorized_keys
"""
"""Versions at a source, and the way to an account on another host."""


@pytest.fixture(scope="module")
def seeded(lab: Lab) -> Iterator[Lab]:
    """The lab with its file systems mounted and versions to fetch."""
    if lab.run("login01", "mountpoint /datasets").rc != 0:
        for name in ("ceph_cluster", "ceph_client"):
            play(lab, name).ok()
    lab.ok("login01", SEED)
    yield lab
    lab.ok("login01", "rm -r /srv/pieces /srv/slow /srv/outbox*")


def at(lab: Lab, version: str, more: str = "") -> Lab:
    """The lab with another version declared, and what else goes into its datasets."""
    spec = SPEC.replace('version: "1"', f'version: "{version}"').replace("    sets:\n", f"    sets:\n{more}")
    return replace(lab, plan=make(loads(spec)))


def declare(lab: Lab, version: str, more: str = "") -> Lab:
    declared = at(lab, version, more)
    play(declared, "datasets").ok()
    return declared


def proven(lab: Lab, name: str) -> str:
    """Return why the plan's check of a dataset does not pass; empty where it does."""
    check = next(check for check in lab.plan.checks if check.name.startswith(f"dataset {name} is version"))
    return judge(check, Remote(str(lab.ssh_config))).reason


def test_the_role_passes_the_acceptance(seeded: Lab) -> None:
    accept(seeded, "datasets")
    assert not proven(seeded, "pieces")


def test_a_version_is_what_its_source_has_and_belongs_to_no_one_who_could_change_it(seeded: Lab) -> None:
    seeded.ok("login02", f"cd {HOME}/current && sha256sum --check --quiet --strict ../1.sha256", user="bob")
    seeded.ok("login01", f"diff -r /srv/pieces/1 {HOME}/1")
    modes = f"find {HOME}/1 -printf '%m %U\\n' | sort -u"
    assert seeded.ok("login01", modes).split("\n")[:2] == ["444 0", "555 0"]
    for attempt in (f"echo x >> {HOME}/1/1", f"rm -f {HOME}/1/1", f"chmod u+w {HOME}/1/1", f"mv {HOME}/1 {HOME}/0"):
        assert seeded.run("login01", attempt, user="alice").rc != 0, attempt
    assert seeded.run("login01", f"ls {HOME}/.state", user="alice").rc != 0


def test_it_is_copied_on_to_the_object_store_and_to_a_host_over_ssh(seeded: Lab) -> None:
    seeded.ok("login02", "cd outbox/1 && sha256sum --check --quiet --strict ../1.sha256", user="bob")
    listed = json.loads(seeded.ok("stor01", "radosgw-admin bucket list --bucket=datasets"))
    names = {entry["name"] for entry in listed}
    assert names == {"pieces/1.sha256", "pieces/1/deep/6", *(f"pieces/1/{number}" for number in range(1, PIECES))}


def test_the_object_store_is_a_source_whose_manifest_must_agree(seeded: Lab) -> None:
    back = """
      back: {version: "1", owner: language, size_gib: 0.02, source: {kind: bucket, bucket: datasets, path: pieces}}
"""
    lab = declare(seeded, "1", back.lstrip("\n"))
    assert not proven(lab, "back")
    seeded.ok("login01", f"cmp {HOME}/1.sha256 /datasets/language/back/1.sha256")


def test_a_move_that_is_killed_goes_on_where_it_was_and_nobody_sees_a_part_of_it(seeded: Lab) -> None:
    about = "version: '1', owner: language, size_gib: 0.03, bandwidth_mib: 1, source: {kind: folder, path: /srv/slow}"
    lab = declare(seeded, "1", f"      slow: {{{about}}}\n")
    unit, home = "platform-dataset@slow.service", "/datasets/language/slow"
    arrived = f"find {home}/.incoming -type f -size {SLOW_MIB * 1024}k | wc -l"
    wait("two files have arrived", lambda: int(lab.ok("login01", arrived)) >= 2, seconds=60)
    lab.ok("login01", f"systemctl kill --kill-who=all --signal=KILL {unit}")
    before = int(lab.ok("login01", arrived))
    assert before < SLOW - 1, "killed too late to prove anything"
    assert lab.ok("login01", f"ls {home}").split() == []
    assert not proven(lab, "slow")
    said = lab.ok("login01", f"journalctl -o cat -u {unit} | grep NOTICE: | tail -n 1")
    found = re.search(r"NOTICE: +([\d.]+) MiB /", said)
    assert found, said
    assert float(found[1]) <= (SLOW - before) * SLOW_MIB, f"{before} of {SLOW} had arrived before: {said}"
    lab.ok("login01", f"diff -r /srv/slow/1 {home}/current/")


def test_a_byte_that_is_flipped_by_hand_is_found_and_mended_from_the_source(seeded: Lab) -> None:
    lab = declare(seeded, "2")
    assert not proven(lab, "pieces")
    flip = f"printf X | dd of={HOME}/2/3 bs=1 seek=1000 conv=notrunc status=none"
    lab.ok("login01", f"touch -r {HOME}/2/3 /run/times && {flip} && touch -r /run/times {HOME}/2/3 && rm /run/times")
    assert "3 has other content" in proven(lab, "pieces")
    lab.ok("login01", f"systemctl restart {UNIT}")
    assert not proven(lab, "pieces")
    lab.ok("login01", f"cmp /srv/pieces/2/3 {HOME}/2/3")


def test_versions_beyond_those_to_keep_go(seeded: Lab) -> None:
    lab = declare(seeded, "3")
    assert not proven(lab, "pieces")
    names = lab.ok("login01", f"ls {HOME}").split()
    assert names == ["2", "2.sha256", "3", "3.sha256", "current"]


def test_another_content_under_the_same_version_is_refused_and_drift_says_so(seeded: Lab) -> None:
    lab = at(seeded, "3")
    lab.ok("login01", f"echo more > /srv/pieces/3/1 && echo x >> {HOME}/3/1 && systemctl restart {UNIT}")
    said = proven(lab, "pieces")
    assert "a version never changes, give it a new name" in said
    assert lab.run("login01", f"systemctl is-failed {UNIT}").rc == 0


def test_secrets_are_in_no_argument_and_no_journal(seeded: Lab) -> None:
    said = seeded.ok("login01", "cat /proc/[0-9]*/cmdline | tr '\\0' ' '; journalctl -o cat")
    assert not [name for name, secret in seeded.secrets.items() if secret in said]
    assert seeded.ok("login01", "stat -c '%a %U' /etc/platform-iac/datasets/pieces.rclone.conf").strip() == "600 root"
