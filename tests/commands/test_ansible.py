"""The export for plain Ansible: everything but secrets, and never over someone else's files."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import pytest

from platform_iac.commands.ansible import export
from platform_iac.commands.errors import CommandError
from platform_iac.plan.make import make
from platform_iac.plan.model import File, Plan
from platform_iac.spec.load import loads
from tests.commands.test_cli import SPEC

CONFIG = {"lab": Path("/x/ssh_config")}


@pytest.fixture
def plan() -> Plan:
    return make(loads(SPEC))


def test_plays_come_in_the_order_of_the_plan(plan: Plan, tmp_path: Path) -> None:
    export(plan, tmp_path / "out", CONFIG)
    plays = json.loads((tmp_path / "out" / "site.yml").read_text())
    assert [play["name"] for play in plays] == ["Run mirror", "Run base", "Run gpu"]
    assert plays[2]["hosts"] == ",".join(f"edge{number:02}" for number in range(1, 13))


def test_a_host_gets_the_common_files_and_its_own_in_one_argument(plan: Plan, tmp_path: Path) -> None:
    export(plan, tmp_path / "out", CONFIG)
    runs = tmp_path / "out" / "runs"
    common = json.loads((runs / "gpu" / "all.yml").read_text())
    own = json.loads((runs / "gpu" / "edge03.yml").read_text())
    assert common["gpu_driver"] == "simulated"
    assert own["gpu_count"] == 8
    assert set(common["gpu_files"]) < set(own["gpu_files"])
    assert json.loads((runs / "base" / "edge03.yml").read_text()) == {}


def test_hosts_are_reached_as_their_site_says(plan: Plan, tmp_path: Path) -> None:
    export(plan, tmp_path / "out", CONFIG)
    hosts = json.loads((tmp_path / "out" / "inventory.json").read_text())["all"]["hosts"]
    assert hosts["edge01"]["ansible_ssh_common_args"] == "-F /x/ssh_config"


def test_who_logs_in_as_another_than_root_becomes_root(plan: Plan, tmp_path: Path) -> None:
    export(plan, tmp_path / "out", CONFIG, sudo={"edge02"})
    hosts = json.loads((tmp_path / "out" / "inventory.json").read_text())["all"]["hosts"]
    assert [name for name, about in hosts.items() if about.get("ansible_become")] == ["edge02"]


def test_a_second_export_replaces_the_first(plan: Plan, tmp_path: Path) -> None:
    export(plan, tmp_path, CONFIG)
    (tmp_path / "runs" / "gone").mkdir()
    export(plan, tmp_path, CONFIG)
    assert not (tmp_path / "runs" / "gone").exists()


def test_someone_elses_directory_is_left_alone(plan: Plan, tmp_path: Path) -> None:
    (tmp_path / "thesis.tex").touch()
    with pytest.raises(CommandError, match="holds something else"):
        export(plan, tmp_path, CONFIG)
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.tex"]


def test_braces_in_a_file_stay_text(plan: Plan, tmp_path: Path) -> None:
    run = dataclasses.replace(plan.runs[0], files=(File(path="/etc/x", content="{{ lookup('env', 'HOME') }}\n"),))
    export(dataclasses.replace(plan, runs=(run,)), tmp_path / "out", CONFIG)
    text = (tmp_path / "out" / "runs" / "mirror" / "all.yml").read_text()
    assert """!unsafe "{{ lookup('env', 'HOME') }}\\n\"""" in text
