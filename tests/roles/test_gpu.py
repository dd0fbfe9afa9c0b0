"""Role gpu on machines: simulated devices with NVIDIA's real numbers."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from platform_iac.lab import machine
from tests.twin_support import machines
from tests.twin_support.acceptance import accept
from tests.twin_support.ansible import play, up_to
from tests.twin_support.machines import Lab

pytestmark = pytest.mark.twin

SPEC = """
apiVersion: platform-iac/v1
name: rolegpu
sites:
  lab: {kind: lab, domain: lab.example.net, network: 10.79.0.0/24}
pools:
  infra: {site: lab, duty: mirror, hosts: mirror01, addresses: 10.79.0.10}
  gpu: {site: lab, duty: compute, hosts: gpu01, addresses: 10.79.0.21, hardware: {like: gpu-server}}
"""


@pytest.fixture(scope="module")
def lab() -> Iterator[Lab]:
    with machines.lab(SPEC) as made:
        up_to(made, "gpu")
        yield made


def test_gpu_passes_the_acceptance(lab: Lab) -> None:
    accept(lab, "gpu")


def test_teardown_takes_the_device_nodes_away(lab: Lab) -> None:
    play(lab, "gpu", moment="teardown").ok()
    assert "nvidia" not in lab.ok("gpu01", "ls /dev")
    play(lab, "gpu").ok()


def test_devices_have_nvidias_numbers(lab: Lab) -> None:
    numbers = lab.ok("gpu01", "stat -c '%n %Hr:%Lr' /dev/nvidia*").splitlines()
    assert numbers == [*(f"/dev/nvidia{index} 195:{index}" for index in range(4)), "/dev/nvidiactl 195:255"]


def test_nvidia_smi_lists_what_the_spec_says(lab: Lab) -> None:
    assert lab.ok("gpu01", "nvidia-smi --query-gpu=name --format=csv,noheader").splitlines() == ["NVIDIA L40S"] * 4


def test_devices_are_back_after_a_power_cut(lab: Lab) -> None:
    machine.reboot(lab.name, "gpu01")
    lab.ok("gpu01", "systemctl is-system-running --wait; systemctl is-active simulated-gpus.service")
    assert lab.ok("gpu01", "ls /dev/nvidia3").strip() == "/dev/nvidia3"
