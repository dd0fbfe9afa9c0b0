"""The command line: readable output, one clear line per problem, and exit statuses that scripts can rely on."""

from __future__ import annotations

import importlib
import json
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from platform_iac import cli

SPEC = """\
apiVersion: platform-iac/v1
name: small
sites:
  lab: {kind: lab, domain: lab.example.net, network: 10.77.0.0/24}
pools:
  infra: {site: lab, duty: mirror, hosts: mirror01, addresses: 10.77.0.10}
  edge: {site: lab, duty: edge, hosts: "edge[01-12]", addresses: 10.77.0.21, hardware: {like: dgx-h100}}
teams:
  vision: {members: {alice: {uid: 20001}}}
"""


@pytest.fixture
def stack(tmp_path: Path) -> str:
    path = tmp_path / "small.yaml"
    path.write_text(SPEC)
    return str(path)


class Ended:
    """What a call of the command line said, and its exit status."""

    def __init__(self, status: int, out: str, err: str) -> None:
        self.status, self.out, self.err = status, out, err


Call = Callable[..., Ended]


@pytest.fixture
def call(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Call:
    def run(*arguments: str) -> Ended:
        monkeypatch.setattr(sys, "argv", ["platform-iac", *arguments])
        try:
            status = cli.main()
        except SystemExit as leave:  # argparse
            status = int(leave.code or 0)
        said = capsys.readouterr()
        return Ended(status, said.out, said.err)

    return run


def test_validate_says_what_a_good_spec_makes(call: Call, stack: str) -> None:
    done = call("validate", stack)
    assert (done.status, done.err) == (0, "")
    assert done.out.startswith("small: 13 hosts, 3 role runs, ")


def test_every_mistake_is_one_line_with_its_place(call: Call, tmp_path: Path) -> None:
    path = tmp_path / "bad.yaml"
    path.write_text(SPEC.replace("duty: mirror", "duty: miror").replace("uid: 20001", "uid: 7"))
    done = call("validate", str(path))
    assert done.status == 2
    assert done.out == ""
    assert [line.split(":")[1] for line in done.err.strip().splitlines()] == ["6", "9"]
    assert "Traceback" not in done.err


def test_an_unknown_stack_is_told_with_those_there_are(call: Call) -> None:
    done = call("plan", "labb")
    assert done.status == 2
    assert "stacks:" in done.err
    assert len(done.err.splitlines()) == 1


def test_plan_fits_on_a_screen_and_compresses_hosts(call: Call, stack: str) -> None:
    done = call("plan", stack)
    assert "edge[01-12]" in done.out
    assert "edge07" not in done.out
    assert len(done.out.splitlines()) < 25
    assert all(line == line.rstrip() for line in done.out.splitlines())


def test_plan_as_json_holds_every_file(call: Call, stack: str) -> None:
    plan = json.loads(call("plan", stack, "--json").out)
    assert [run["name"] for run in plan["runs"]] == ["mirror", "base", "gpu"]
    assert any(file["path"] == "/etc/chrony/chrony.conf" for file in plan["runs"][1]["files"])


def test_explain_tells_everything_about_one_host(call: Call, stack: str) -> None:
    out = call("explain", stack, "edge07").out
    for part in (
        "10.77.0.27",
        "edge07.lab.example.net",
        "8 x NVIDIA H100",
        "chrony.service",
        "/usr/bin/nvidia-smi",
        "0755",
    ):
        assert part in out
    assert out.index("1.  base") < out.index("2.  gpu")
    assert "DenyUsers" in call("explain", stack, "mirror01", "--files").out


def test_explain_of_an_unknown_host_suggests_one(call: Call, stack: str) -> None:
    done = call("explain", stack, "edge7")
    assert done.status == 2
    assert "did you mean `edge0" in done.err


def test_artifacts_lists_what_hosts_install(call: Call, stack: str) -> None:
    assert call("artifacts", "--list", stack).out.split() == ["Debian", "packages", "chrony", "nginx-light"]


def test_ssh_to_a_stack_that_is_down_says_how_to_bring_it_up(
    call: Call, stack: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    done = call("ssh", "edge01", "--stack", stack, "true")
    assert done.status == 2
    assert "platform-iac up small" in done.err


def test_a_stack_that_follows_itself_or_none_is_told(
    call: Call, stack: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("platform_iac.spec.load.STACKS", tmp_path)
    for after, said in (("small", "names itself"), ("nosuch", "there is no stack 'nosuch'")):
        Path(stack).write_text(f"{SPEC}promotion: {{after: {after}}}\n")
        done = call("validate", "small")
        assert done.status == 2
        assert said in done.err


def test_a_file_that_cannot_be_written_is_one_line(call: Call) -> None:
    done = call("cabling", "lab", "--out", "/proc/nowhere")
    assert done.status == 2
    assert done.err == "/proc/nowhere: No such file or directory\n"


def test_copies_of_a_stack_that_nobody_knows_are_told_apart_from_none(
    call: Call, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    (tmp_path / "platform-iac/backups/other-00000000").mkdir(parents=True)
    done = call("state", "list", "nosuch")
    assert done.status == 2
    assert "there is no stack 'nosuch'" in done.err
    assert done.err.endswith(": other\n")
    assert call("state", "list", "lab").status == 0


def test_schema_is_json_schema(call: Call) -> None:
    assert json.loads(call("schema").out)["$schema"].endswith("2020-12/schema")


def test_without_a_verb_the_usage_is_shown(call: Call) -> None:
    done = call()
    assert done.status == 2
    assert "usage: platform-iac" in done.err


@pytest.mark.parametrize("verb", cli.VERBS)
def test_every_verb_explains_itself(call: Call, verb: str) -> None:
    done = call(verb, "--help")
    assert done.status == 0
    assert f"platform-iac {verb}" in done.out


@pytest.mark.parametrize(
    ("arguments", "called", "stack"),
    [
        (["check", "falcon"], "check", "falcon"),
        (["check", "storage"], "check_storage", "lab"),
        (["check", "storage", "falcon"], "check_storage", "falcon"),
    ],
)
def test_a_check_is_of_everything_or_of_one_subject(
    monkeypatch: pytest.MonkeyPatch, arguments: list[str], called: str, stack: str
) -> None:
    module = importlib.import_module(f"platform_iac.commands.{called}")
    asked: list[str] = []
    monkeypatch.setattr(module, called, lambda stack: asked.append(stack) or 0)
    assert cli.run(arguments) == 0
    assert asked == [stack]


def test_storage_without_floors_is_told_in_one_line(call: Call, stack: str) -> None:
    done = call("check", "storage", stack)
    assert (done.status, done.out) == (1, "")
    assert done.err.startswith("no storage of this stack has floors — ")
