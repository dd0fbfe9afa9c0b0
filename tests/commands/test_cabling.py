"""`platform-iac cabling` and `platform-iac check fabric`: from a spec to lists, and from a discovery to findings."""

from __future__ import annotations

import csv
import io
import json
import re
from dataclasses import replace
from pathlib import Path

import pytest

from platform_iac import cli
from platform_iac.checks.remote import Done, Remote
from platform_iac.commands import check, check_fabric
from platform_iac.fabric import ibnet
from platform_iac.fabric.model import Cable
from tests.commands.test_fabric import roce
from tests.fabric.simulator import discover

SPEC = """\
apiVersion: platform-iac/v1
name: falcon
pools:
  gpu: {duty: compute, hosts: "gpu[01-31]", hardware: dgx-h100}
fabric: {kind: infiniband, rails: 8, radix: 64, unit: 32}
"""


@pytest.fixture
def spec(tmp_path: Path) -> str:
    path = tmp_path / "falcon.yaml"
    path.write_text(SPEC)
    return str(path)


@pytest.fixture
def written(spec: str, tmp_path: Path) -> Path:
    assert cli.run(["cabling", spec, "--out", str(tmp_path / "out")]) == 0
    return tmp_path / "out"


def refused(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, *arguments: str) -> str:
    monkeypatch.setattr("sys.argv", ["platform-iac", *arguments])
    assert cli.main() == 2
    return capsys.readouterr().err.strip()


def test_a_spec_of_a_fabric_and_a_pool_gives_everything_to_cable_by(
    spec: str, written: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.run(["cabling", spec, "--out", str(written)]) == 0
    out = capsys.readouterr().out
    assert "falcon: 508 cables" in out
    names = {path.name for path in written.iterdir()}
    assert names == {
        *("cables.csv", "cables.md", "racks.csv", "fabric.html", "fabric.dot", "fabric.ibnetdiscover", "racks"),
        "made-by-platform-iac",
    }
    assert all(str(written / name) in out for name in names - {"made-by-platform-iac"})
    assert len((written / "cables.csv").read_text().splitlines()) == 509
    assert "gpu01.mlx5_0/leaf-01-1.1" in (written / "racks" / "A01.csv").read_text()


def test_ethernet_has_a_configuration_for_each_switch_and_nothing_of_infiniband(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    path, out = tmp_path / "falcon.yaml", tmp_path / "out"
    path.write_text(roce(SPEC))
    assert cli.run(["cabling", str(path), "--out", str(out)]) == 0
    assert {one.name for one in out.iterdir()} == {
        *("cables.csv", "cables.md", "racks.csv", "fabric.html", "fabric.dot", "racks", "switches"),
        "made-by-platform-iac",
    }
    names = sorted(one.stem for one in (out / "switches").iterdir())
    assert names == [*(f"leaf-01-{rail}" for rail in range(1, 9)), *(f"spine-00{one}" for one in range(1, 5))]
    leaf = json.loads((out / "switches" / "leaf-01-1.json").read_text())
    assert leaf["DEVICE_METADATA"]["localhost"]["hostname"] == "leaf-01-1"
    said = refused(capsys, monkeypatch, "check", "fabric", str(path), "--discovery", str(out / "fabric.dot"))
    assert "ibnetdiscover sees InfiniBand, and this fabric is ethernet" in said


def test_a_hall_of_the_spec_is_in_lists_labels_and_lengths(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    path, out = tmp_path / "falcon.yaml", tmp_path / "out"
    hall = "{hosts_per_rack: 2, rack_u: 24, leaves: first, lengths_m: {leaf_spine: 18}}"
    path.write_text(SPEC.replace("unit: 32", f"unit: 32, layout: {hall}"))
    assert cli.run(["cabling", str(path), "--out", str(out)]) == 0
    standing = (out / "racks.csv").read_text().splitlines()
    assert standing[:3] == ["rack,u,what", "A01,24,leaf-01-1", "A01,23,leaf-01-2"]
    assert "A02,9,gpu02" in standing
    assert "| 9 | gpu02 |" in (out / "cables.md").read_text()
    rows = list(csv.DictReader((out / "cables.csv").open()))
    assert {row["length_m"] for row in rows if row["layer"] == "leaf_spine"} == {"20"}
    capsys.readouterr()
    assert cli.run(["fabric", str(path), "--labels"]) == 0
    assert json.loads(capsys.readouterr().out)["hosts"]["gpu02"]["topology.platform-iac/rack"] == "A02"
    path.write_text(SPEC.replace("unit: 32", "unit: 32, layout: {rows: 1}"))
    said = refused(capsys, monkeypatch, "cabling", str(path), "--out", str(out))
    assert said == "fabric.layout: with 4 hosts a rack it takes 2 rows, the hall has 1 — take `rows: 2`"


def test_lists_of_racks_that_are_no_more_go_and_other_folders_are_left_alone(
    spec: str, written: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    (written / "racks" / "Z99.csv").touch()
    assert cli.run(["cabling", spec, "--out", str(written)]) == 0
    assert not (written / "racks" / "Z99.csv").exists()
    said = refused(capsys, monkeypatch, "cabling", spec, "--out", str(written.parent))
    assert said.endswith("holds something else — name a new or empty directory")
    assert "is no directory" in refused(capsys, monkeypatch, "cabling", spec, "--out", spec)


def test_what_was_planned_is_found_right(spec: str, written: Path, capsys: pytest.CaptureFixture[str]) -> None:
    discovery = str(written / "fabric.ibnetdiscover")
    capsys.readouterr()
    assert cli.run(["check", "fabric", spec, "--discovery", discovery]) == 0
    assert "508 of 508 cables are where they belong, 0 findings" in capsys.readouterr().out


def test_a_slow_cable_fails_the_check_as_table_and_as_json(
    spec: str, written: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    text = (written / "fabric.ibnetdiscover").read_text()
    slow = re.sub(r'("gpu04 mlx5_0" lid 0) 4xNDR', r"\1 4xHDR", text)
    capsys.readouterr()
    monkeypatch.setattr("sys.stdin", io.StringIO(slow))
    assert cli.run(["check", "fabric", spec, "--discovery", "-"]) == 1
    out = capsys.readouterr().out
    assert "leaf-01-1 port 4: planned 400 Gb/s to gpu04 mlx5_0, found 200 Gb/s (4xHDR)" in out
    monkeypatch.setattr("sys.stdin", io.StringIO(slow))
    assert cli.run(["check", "fabric", spec, "--discovery", "-", "--json"]) == 1
    found = json.loads(capsys.readouterr().out)
    assert (found["stack"], found["planned"], found["right"]) == ("falcon", 508, 508)
    assert [(one["kind"], one["where"], one["ports"]) for one in found["findings"]] == [
        ("down-rated", "leaf-01-1 port 4", [["leaf-01-1", 4]])
    ]


def test_what_is_no_discovery_is_told_in_one_line(
    spec: str, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    said = refused(capsys, monkeypatch, "check", "fabric", spec, "--discovery", spec)
    assert said == f"{spec}: there is no node in it — is it what `ibnetdiscover` printed?"
    said = refused(capsys, monkeypatch, "check", "fabric", spec, "--discovery", str(tmp_path / "none"))
    assert "No such file or directory — name what `ibnetdiscover` printed, or `-`" in said


def test_options_of_the_fabrics_check_are_refused_elsewhere(
    spec: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert refused(capsys, monkeypatch, "check", spec, "--json") == "--json is for `check fabric` — leave it out"


def test_without_a_file_a_host_of_the_running_stack_is_asked(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    _, plan = check_fabric.planned("falcon")
    asked: list[tuple[str, list[str]]] = []

    def answers(remote: Remote, host: str, argv: list[str], **_: object) -> Done:
        asked.append((host, argv))
        return Done(127, "", "no such command") if len(asked) == 1 else Done(0, ibnet.write(plan), "")

    monkeypatch.setattr(check, "reach", lambda stack, plan: Remote("ssh_config"))
    monkeypatch.setattr(Remote, "__call__", answers)
    assert cli.run(["check", "fabric", "falcon"]) == 0
    assert [argv for _, argv in asked] == [["ibnetdiscover"]] * 2
    assert len({host for host, _ in asked}) == 2
    assert "0 findings" in capsys.readouterr().out


@pytest.mark.twin
def test_cables_in_the_wrong_ports_of_a_simulated_fabric_are_named(
    spec: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    _, plan = check_fabric.planned(spec)
    spoilt = replace(plan, cables=tuple(wrong(cable) for cable in plan.cables))
    net = ibnet.write(spoilt, divisor=ibnet.slowdown(plan))
    path = tmp_path / "found.txt"
    path.write_text(discover(net, start=ibnet.node_id(plan.adapters[0])))
    assert cli.run(["check", "fabric", spec, "--discovery", str(path), "--simulated"]) == 1
    out = capsys.readouterr().out
    at = {(cable.b, cable.b_port): cable.a for cable in plan.cables}
    four, five, seven = at["leaf-01-3", 4], at["leaf-01-3", 5], at["leaf-01-1", 7]
    assert f"leaf-01-3 port 4: planned {four}, found {five} — swapped with leaf-01-3 port 5" in out
    assert f"leaf-01-1 port 7: planned 400 Gb/s to {seven}, found 4xEDR, which stands for 200 Gb/s" in out
    assert "506 of 508 cables are where they belong, 2 findings" in out


def wrong(cable: Cable) -> Cable:
    """Two cables of leaf-01-3 in each other's ports, and one of leaf-01-1 that came up at half its rate."""
    if cable.b == "leaf-01-3" and cable.b_port in (4, 5):
        return replace(cable, b_port=9 - cable.b_port)
    slow = (cable.b, cable.b_port) == ("leaf-01-1", 7)
    return replace(cable, rate_gbps=200) if slow else cable
