"""The files of the controller: golden, and the rules that the field learned the hard way."""

from __future__ import annotations

import os
import re
from pathlib import Path
from time import process_time

import pytest

from platform_iac.plan.make import make
from platform_iac.spec.load import loads
from tests.kinds.scheduler.slurm.specs import METAL, SPECS, TWIN, file, run

GOLDEN = Path(__file__).parent / "golden"


def text(spec: str, name: str) -> str:
    return file(run(spec, "slurm_controller"), f"/etc/slurm/{name}").content


@pytest.mark.parametrize("name", ["slurm.conf", "gres.conf", "cgroup.conf"])
@pytest.mark.parametrize("spec", SPECS)
def test_files_are_the_golden_ones(spec: str, name: str) -> None:
    """`GOLDEN_WRITE=1 pytest …` writes them anew; the diff is part of the review."""
    path = GOLDEN / f"{spec}.{name}"
    if os.environ.get("GOLDEN_WRITE"):
        path.write_text(text(SPECS[spec], name))
    assert text(SPECS[spec], name) == path.read_text()


@pytest.mark.parametrize("spec", SPECS.values(), ids=list(SPECS))
def test_every_gpu_is_typed_on_both_sides(spec: str) -> None:
    declared = re.findall(r"^NodeName=(\S+) .*Gres=gpu:(\w+):\d+", text(spec, "slurm.conf"), re.MULTILINE)
    detailed = re.findall(r"^NodeName=(\S+) Name=gpu Type=(\w+) File=", text(spec, "gres.conf"), re.MULTILINE)
    assert declared == detailed
    assert "AutoDetect=" not in text(spec, "gres.conf")
    assert not re.search(r"^Name=", text(spec, "gres.conf"), re.MULTILINE), "`NodeName=` comes first"


@pytest.mark.parametrize("spec", SPECS.values(), ids=list(SPECS))
def test_exactly_one_partition_is_the_default(spec: str) -> None:
    assert text(spec, "slurm.conf").count("Default=YES") == 1


def test_login_hosts_have_the_controllers_text() -> None:
    for spec in SPECS.values():
        assert file(run(spec, "slurm_login"), "/etc/slurm/slurm.conf").content == text(spec, "slurm.conf")


def test_only_a_twin_plays_more_than_it_has() -> None:
    assert "config_overrides" in text(TWIN, "slurm.conf")
    assert "config_overrides" not in text(METAL, "slurm.conf")


def test_addresses_stay_beside_their_names_across_a_boundary_of_256() -> None:
    lines = [line for line in text(METAL, "slurm.conf").splitlines() if line.startswith("NodeName=old")]
    assert [re.findall(r"Node(?:Name|Addr)=(\S+)", line) for line in lines] == [["old[01-02]", "10.20.2.[254-255]"]]
    far = METAL.replace('"old[01-02]"', '"old[01-03]"')
    lines = [line for line in text(far, "slurm.conf").splitlines() if line.startswith("NodeName=old")]
    assert [re.findall(r"Node(?:Name|Addr)=(\S+)", line) for line in lines] == [
        ["old[01-02]", "10.20.2.[254-255]"],
        ["old03", "10.20.3.0"],
    ]


def test_names_that_do_not_sort_as_they_come_get_lines_of_their_own() -> None:
    odd = TWIN.replace('"gpu[01-03]"', '"gpu02,gpu01,node9"')
    lines = [line for line in text(odd, "slurm.conf").splitlines() if line.startswith("NodeName=")]
    assert [re.findall(r"Node(?:Name|Addr)=(\S+)", line) for line in lines] == [
        ["gpu02", "10.77.0.21"],
        ["gpu01", "10.77.0.22"],
        ["node9", "10.77.0.23"],
    ]


def test_a_job_without_a_memory_request_leaves_room_for_others() -> None:
    found = re.search(r"PartitionName=batch .* DefMemPerCPU=(\d+) DefCpuPerGPU=(\d+)", text(METAL, "slurm.conf"))
    assert found is not None
    memory_mib, cpus = int(found[1]), int(found[2])
    assert cpus * 8 <= 224
    assert memory_mib * 224 <= (2048 - 32) * 1024


def test_a_thousand_nodes_take_a_few_lines_and_little_time() -> None:
    large = METAL.replace('"gpu[001-031]"', '"gpu[0001-1024]"').replace("10.20.1.1,", "10.20.64.0,")
    spec = loads(large)
    began = process_time()
    plan = make(spec)
    assert process_time() - began < 2
    conf = file(next(run for run in plan.runs if run.name == "slurm_controller"), "/etc/slurm/slurm.conf").content
    assert conf.count("\nNodeName=gpu") == 4
    assert "TreeWidth=33" in conf
