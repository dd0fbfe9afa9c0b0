"""The mode of BlueField cards: from hardware to what the host is told, and the program against a firmware's answers."""

from __future__ import annotations

import os
import re
import subprocess
from pathlib import Path

import pytest

from platform_iac.kinds.site._bluefield import CARDS, PROGRAM, ROLE
from platform_iac.plan.context import PlanError
from platform_iac.plan.make import make
from platform_iac.plan.model import Plan
from platform_iac.plan.render import render
from platform_iac.spec.load import loads

SPEC = """
apiVersion: platform-iac/v1
name: metal
sites:
  dc1:
    kind: onprem
    domain: dc1.example.net
    network: 10.20.0.0/16
    access: {ssh_config: /etc/a, known_hosts: /etc/b}
pools:
  infra: {site: dc1, duty: mirror, hosts: mirror01, addresses: 10.20.0.10}
  gpu:
    site: dc1
    duty: compute
    hosts: gpu[01-02]
    addresses: 10.20.0.21
    hardware:
      like: gpu-server
      nics:
        - {kind: KIND, purpose: compute, product: BlueField-3, devices: "mlx5_[0-1]", rate_gbps: 400, dpu: MODE}
        - {kind: ethernet, purpose: management, product: 25GbE, devices: eno1, rate_gbps: 25}
"""


def planned(mode: str = "nic", kind: str = "infiniband", more: str = "") -> Plan:
    return make(loads(SPEC.replace("MODE", mode).replace("KIND", kind) + more))


def test_hosts_with_cards_are_told_their_modes_and_others_nothing() -> None:
    plan = planned()
    run = next(run for run in plan.runs if run.name == ROLE)
    assert run.hosts == ("gpu01", "gpu02")
    assert {file.path: file.content for file in run.host_files["gpu01"]} == {CARDS: "mlx5_0 nic\nmlx5_1 nic\n"}
    (check, _) = [check for check in plan.checks if check.argv == (PROGRAM, "show")]
    assert re.search(check.expect, "mlx5_0 nic nic\nmlx5_1 nic nic\n")
    assert not re.search(check.expect, "mlx5_0 dpu nic\nmlx5_1 nic nic\n"), "not before the power cycle"


def test_hardware_without_cards_plans_nothing() -> None:
    assert ROLE not in {
        run.name for run in make(loads(SPEC.replace(", dpu: MODE", "").replace("KIND", "infiniband"))).runs
    }


def test_a_fabric_of_ethernet_wants_its_rails_to_be_the_hosts() -> None:
    with pytest.raises(PlanError, match=r"ports of pool `gpu` belong to their BlueField cards.*say `dpu: nic`"):
        planned("dpu", "ethernet", "fabric: {kind: ethernet, radix: 8}\n")


FIRMWARE = """#!/bin/sh
# In the place of mstconfig: answers as it does, and writes down what it is told.
echo "$@" >>"$0.log"
cat <<'END'
Device #1:
----------
Configurations:                                          Default             Current             Next Boot
*       INTERNAL_CPU_OFFLOAD_ENGINE                 ENABLED(0)          NOW                 NEXT
END
"""


@pytest.mark.parametrize(
    ("now", "later", "wanted", "shown", "told"),
    [
        ("DISABLED(1)", "DISABLED(1)", "nic", "mlx5_0 nic nic", ""),
        ("ENABLED(0)", "ENABLED(0)", "nic", "mlx5_0 dpu dpu", "set INTERNAL_CPU_OFFLOAD_ENGINE=1"),
        ("ENABLED(0)", "DISABLED(1)", "nic", "mlx5_0 dpu nic", ""),
        ("DISABLED(1)", "DISABLED(1)", "dpu", "mlx5_0 nic nic", "set INTERNAL_CPU_OFFLOAD_ENGINE=0"),
    ],
)
def test_the_firmware_is_told_what_it_does_not_know_yet(
    now: str, later: str, wanted: str, shown: str, told: str, tmp_path: Path
) -> None:
    tool, cards = tmp_path / "mstconfig", tmp_path / "cards"
    tool.write_text(FIRMWARE.replace("NOW", now).replace("NEXT", later))
    tool.chmod(0o755)
    cards.write_text(f"mlx5_0 {wanted}\n")
    (tmp_path / "mlx5_0" / "device").mkdir(parents=True)
    program = render(ROLE, "bluefield-mode").replace(CARDS, str(cards)).replace("/sys/class/infiniband", str(tmp_path))
    (tmp_path / "program").write_text(program)
    path = f"{tmp_path}{os.pathsep}{os.environ['PATH']}"

    def run(verb: str) -> str:
        argv = ["sh", str(tmp_path / "program"), verb]
        return subprocess.run(argv, env={"PATH": path}, capture_output=True, text=True, timeout=30, check=True).stdout

    assert run("show").strip() == shown
    run("set")
    log = (tmp_path / "mstconfig.log").read_text()
    assert (told in log) if told else (" set " not in log)
