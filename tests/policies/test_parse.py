"""The readers of configuration, against what the programs themselves say where they are at hand."""

from __future__ import annotations

import itertools
import shutil
import subprocess

import pytest

from policies.parse import lines, modes, versions
from policies.parse.units import units

VERSIONS = [
    "0.5.15-2",
    "0.5.15-2+deb12u1",
    "0.5.15-2+deb12u1~rc1",
    "0.5.15-2+deb12u10",
    "0.5.15-2+deb12u2",
    "0.5.18",
    "0.5.18-1",
    "1:0.1-1",
    "0.5.15",
    "0.5.15~beta",
    "22.05.8-4+deb12u3",
    "22.05.8-4+deb12u2",
    "22.05.8-4",
    "22.5.8-4",
    "1.17.8-1",
    "1.17.8~rc.1-1",
    "0.5.15-2ubuntu1",
    "2:1.0~~",
    "2:1.0~",
    "2:1.0",
]


def test_versions_are_in_the_order_of_dpkg() -> None:
    if shutil.which("dpkg") is None:
        pytest.fail("dpkg is what Debian's order is compared with")
    for one, other in itertools.product(VERSIONS, repeat=2):
        for sign, holds in (("lt", versions.compare(one, other) < 0), ("eq", versions.compare(one, other) == 0)):
            done = subprocess.run(["dpkg", "--compare-versions", one, sign, other], check=False)
            assert (done.returncode == 0) == holds, f"{one} {sign} {other}"


@pytest.mark.parametrize(
    ("mode", "bits"),
    [
        ("0644", 0o644),
        ("644", 0o644),
        ("0o600", 0o600),
        (420, 0o644),
        (0o600, 0o600),
        ("u=rw,go=r", 0o644),
        ("a=rw", 0o666),
        ("+x", 0o111),
        ("u=rwx,u-w", 0o500),
        ("u=rwX,g=,o=", 0o700),
        ("02755", 0o2755),
        ("preserve", None),
        ("", None),
        (None, None),
        (True, None),
        ("rw-r--r--", None),
        ("0888", None),
        (1.5, None),
    ],
)  # fmt: skip
def test_a_mode_is_read_in_any_spelling(mode: object, bits: int | None) -> None:
    assert modes.bits(mode) == bits


def test_sshd_settings_know_their_block_and_their_quotes() -> None:
    text = 'port 22\n\tPermitRootLogin="yes" # no\n#PermitRootLogin no\nMatch User bob\nPasswordAuthentication yes\n'
    assert [(found.name, found.value, found.section) for found in lines.sshd(text)] == [
        ("port", "22", ""),
        ("permitrootlogin", "yes", ""),
        ("passwordauthentication", "yes", "Match User bob"),
    ]


def test_slurm_lines_are_joined_and_their_names_have_no_case() -> None:
    text = "ClusterName=x # y\nNodeName=a \\\n  CPUS=2 State=UP\n\n# Foo=bar\nInclude more.conf\n"
    found = [[(pair.name, pair.value) for pair in line] for line in lines.equals(text)]
    assert found == [
        [("clustername", "x")],
        [("nodename", "a"), ("cpus", "2"), ("state", "UP")],
        [("include", "more.conf")],
    ]


def test_options_of_a_command_are_found_in_both_forms() -> None:
    found = lines.options("server --app-name basic-auth --workers=2 --flag --hosts 'a,b' --hosts c")
    assert found == {"app-name": ["basic-auth"], "workers": ["2"], "flag": [""], "hosts": ["a,b", "c"]}


def test_a_file_of_variables_is_read_without_quotes_and_comments() -> None:
    text = "A=1\n#B=2\n ; C=3\nD='x y'\nE=\"z\" # no comment\nA=4\nF\n=5\n"
    assert lines.environment(text) == {"A": "4", "D": "x y", "E": "z # no comment"}


def test_a_unit_is_its_file_and_its_drop_ins_by_their_names() -> None:
    etc, usr = "/etc/systemd/system", "/usr/lib/systemd/system"
    files = {
        f"{usr}/a-b.service": "[Service]\nExecStart=hidden",
        f"{etc}/a-b.service": "[Service]\nExecStart=first\nUser=a",
        f"{etc}/a-b.service.d/2.conf": "[Service]\nExecStart=\nExecStart=second",
        f"{usr}/a-b.service.d/2.conf": "[Service]\nUser=hidden by the file in /etc",
        f"{usr}/a-.service.d/3.conf": "[Service]\nExecStart=third",
        f"{usr}/service.d/1.conf": '[Service]\nUser=b\nEnvironment="A=1" "B=2"',
        f"{etc}/a-b.service.d/4.conf.bak": "[Service]\nUser=c",
        f"{etc}/w@.service": "[Service]\nUser=w",
        f"{etc}/w@1.service.d/x.conf": "[Service]\nGroup=w",
        f"{etc}/a.mount": "[Mount]\nWhat=x",
    }
    found = {unit.name: unit for unit in units(files, "service")}
    assert found["a-b.service"].all("service", "execstart") == ["second", "third"]
    assert found["a-b.service"].last("service", "user") == "b"
    assert found["a-b.service"].all("service", "environment") == ['"A=1" "B=2"']
    assert [found["w@1.service"].last("service", name) for name in ("user", "group")] == ["b", "w"]
    assert {name for name, unit in found.items() if not unit.own} == {"a-.service", "service"}
