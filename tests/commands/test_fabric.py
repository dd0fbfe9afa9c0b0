"""`platform-iac fabric`: numbers for people and for programs, from a spec with no more than a fabric and a pool."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from platform_iac import cli

SPEC = """\
apiVersion: platform-iac/v1
name: falcon
fabric: {kind: infiniband, rails: 8, radix: 64, unit: 32}
pools:
  gpu: {duty: compute, hosts: "gpu[0001-COUNT]", hardware: dgx-h100}
"""
PORTS = '{kind: ethernet, purpose: compute, product: CX7, devices: "mlx5_[0-7]", rate_gbps: 400}'
TABLE = {
    31: (8, 4, 0, 256),
    63: (16, 8, 0, 512),
    95: (24, 16, 0, 768),
    127: (32, 16, 0, 1024),
    2047: (512, 512, 256, 16384),
}


def roce(spec: str) -> str:
    """The same spec with Ethernet."""
    return spec.replace("infiniband", "ethernet").replace("dgx-h100", f"{{like: dgx-h100, nics: [{PORTS}]}}")


def written(folder: Path, count: int = 31, text: str = SPEC) -> str:
    path = folder / "falcon.yaml"
    path.write_text(text.replace("COUNT", f"{count:04}"))
    return str(path)


@pytest.mark.parametrize("count", TABLE)
def test_programs_get_every_number(count: int, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.run(["fabric", written(tmp_path, count), "--json"]) == 0
    leaves, spines, cores, ends = TABLE[count]
    found = json.loads(capsys.readouterr().out)
    assert found["cables"] == {
        "node_leaf": count * 8,
        "leaf_spine": ends,
        "spine_core": ends if cores else 0,
        "manager": 4,
    }
    assert (found["tiers"], found["leaves"], found["spines"], found["cores"]) == (
        2 + bool(cores),
        leaves,
        spines,
        cores,
    )
    assert (found["end_ports"], found["bisection_ratio"]) == (ends, 1.0)


def test_people_get_a_table_with_notes(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.run(["fabric", written(tmp_path, 95)]) == 0
    out = capsys.readouterr().out
    assert "falcon: infiniband, 8 rails, switches with 64 ports, 2 tiers" in out
    assert "16 spines where 12 have ports enough" in out
    assert "256, " not in out
    assert "768, 764 used" in out


def test_a_blocking_fabric_says_what_its_uplinks_carry(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    spec = written(tmp_path, text=SPEC.replace("unit: 32", "blocking: 3"))
    assert cli.run(["fabric", spec, "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["bisection_ratio"] == pytest.approx(1 / 3)


def test_ethernet_has_the_same_keys_and_says_its_kind(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.run(["fabric", written(tmp_path), "--json"]) == 0
    infiniband = json.loads(capsys.readouterr().out)
    assert cli.run(["fabric", written(tmp_path, text=roce(SPEC)), "--json"]) == 0
    ethernet = json.loads(capsys.readouterr().out)
    assert list(ethernet) == list(infiniband)
    assert (ethernet["kind"], ethernet["leaves"], ethernet["spines"]) == ("ethernet", 8, 4)
    assert ethernet["cables"] == {**infiniband["cables"], "manager": 0}
    assert cli.run(["fabric", written(tmp_path, text=roce(SPEC)), "--labels"]) == 0
    assert json.loads(capsys.readouterr().out)["hosts"]["gpu0001"]["network.topology.nvidia.com/leaf"] == "leaf-01-1"


def test_a_spec_without_a_fabric_is_told(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    path = written(tmp_path, text="apiVersion: platform-iac/v1\nname: falcon\n")
    monkeypatch.setattr("sys.argv", ["platform-iac", "fabric", path])
    assert cli.main() == 2
    assert capsys.readouterr().err == "falcon has no fabric — add `fabric: {kind: infiniband}` to its spec\n"


def test_what_needs_hosts_is_told_that_a_spec_without_sites_has_none(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    for verb in ("plan", "validate"):
        monkeypatch.setattr("sys.argv", ["platform-iac", verb, written(tmp_path)])
        assert cli.main() == 2
        assert capsys.readouterr().err.startswith("pool `gpu` has no site — add `sites`")


def test_kubernetes_gets_the_place_of_every_host(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.run(["fabric", written(tmp_path, 63), "--labels"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["levels"][-1] == "kubernetes.io/hostname"
    assert len(found["hosts"]) == 63
    assert found["hosts"]["gpu0033"]["network.topology.nvidia.com/leaf"] == "leaf-02-1"
    assert found["hosts"]["gpu0033"]["topology.platform-iac/unit"] == "unit-02"
