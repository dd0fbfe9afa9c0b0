"""Roles ethernet_node and bluefield on a machine of the twin: addresses, routes, MTU. Adapters and `dcb` are doubles.

There is no BlueField card: what is proven of its role is that it says so and leaves nothing behind.
"""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.twin_support import machines
from tests.twin_support.acceptance import accept
from tests.twin_support.ansible import play, up_to
from tests.twin_support.machines import Lab

pytestmark = pytest.mark.twin

SPEC = """
apiVersion: platform-iac/v1
name: ethnode
sites:
  lab: {kind: lab, domain: lab.example.net, network: 10.93.0.0/24}
fabric: {kind: ethernet, radix: 8}
pools:
  infra: {site: lab, duty: mirror, hosts: mirror01, addresses: 10.93.0.10}
  gpu:
    site: lab
    duty: compute
    hosts: gpu01
    addresses: 10.93.0.21
    hardware:
      like: gpu-server
      nics:
        - kind: ethernet
          purpose: compute
          product: ConnectX-7
          devices: mlx5_[0-1]
          interfaces: enp[24,220]s0np0
          dpu: nic
          rate_gbps: 200
"""
SHOWN = """\
enp24s0np0 mtu 9000 100.64.0.1/31 pfc 3 dscp 26:3 48:6
enp220s0np0 mtu 9000 100.64.0.17/31 pfc 3 dscp 26:3 48:6
"""
NETWORK = "ip -br address; ip rule; ip route; ls /sys/class/net"
RAILS = "/usr/local/libexec/platform-iac/ethernet-rails"


@pytest.fixture(scope="module")
def lab() -> Iterator[Lab]:
    with machines.lab(SPEC) as made:
        up_to(made, "bluefield")
        yield made


def test_bluefield_passes_the_acceptance_and_says_which_cards_are_not_there(lab: Lab) -> None:
    accept(lab, "bluefield")
    said = lab.ok("gpu01", "/usr/local/libexec/platform-iac/bluefield-mode show")
    assert said.splitlines() == ["mlx5_0 is not there", "mlx5_1 is not there"]


@pytest.fixture(scope="module")
def bare(lab: Lab) -> str:
    """The network of the host before the role was there."""
    return lab.ok("gpu01", NETWORK)


@pytest.mark.usefixtures("bare")
def test_ethernet_node_passes_the_acceptance(lab: Lab) -> None:
    # Debian's packages leave their group behind when they go (Debian policy 9.2.2).
    accept(lab, "ethernet_node", stays="group rdma")


def test_every_rail_answers_by_itself(lab: Lab) -> None:
    assert lab.ok("gpu01", f"{RAILS} show") == SHOWN
    for own, interface in (("100.64.0.1", "enp24s0np0"), ("100.64.0.17", "enp220s0np0")):
        assert f"dev {interface}" in lab.ok("gpu01", f"ip route get 100.64.0.99 from {own}")
    assert "dev host0" in lab.ok("gpu01", "ip route get 10.93.0.10"), "management is where it was"
    assert "NCCL_IB_TC=106" in lab.ok("gpu01", "cat /etc/nccl.conf")


def test_a_rail_that_lost_its_settings_is_mended_and_its_neighbour_left_alone(lab: Lab) -> None:
    lab.ok("gpu01", "ip link set enp24s0np0 mtu 1500; ip address flush dev enp24s0np0; ip rule del priority 4901")
    assert lab.ok("gpu01", f"{RAILS} show") != SHOWN
    index = lab.ok("gpu01", "cat /sys/class/net/enp220s0np0/ifindex /sys/class/net/host0/ifindex")
    lab.run("gpu01", "timeout 5 ip monitor address >/run/seen & sleep 1; systemctl reload ethernet-rails; wait")
    assert lab.ok("gpu01", f"{RAILS} show") == SHOWN
    assert "dev enp24s0np0" in lab.ok("gpu01", "ip route get 100.64.0.99 from 100.64.0.1")
    assert index == lab.ok("gpu01", "cat /sys/class/net/enp220s0np0/ifindex /sys/class/net/host0/ifindex")
    assert "host0" not in lab.ok("gpu01", "cat /run/seen")


def test_a_rail_that_leaves_the_plan_loses_its_address(lab: Lab) -> None:
    lab.ok("gpu01", "cp /etc/platform-iac/rails /run/rails; sed -i /enp220/d /etc/platform-iac/rails")
    lab.ok("gpu01", "systemctl reload ethernet-rails")
    assert "inet 100.64" not in lab.ok("gpu01", "ip -4 address show dev enp220s0np0")
    assert "4902" not in lab.ok("gpu01", "ip rule")
    lab.ok("gpu01", "cp /run/rails /etc/platform-iac/rails; systemctl reload ethernet-rails")
    assert lab.ok("gpu01", f"{RAILS} show") == SHOWN


def test_teardown_leaves_the_network_as_it_was(lab: Lab, bare: str) -> None:
    assert lab.ok("gpu01", NETWORK) != bare
    play(lab, "ethernet_node", moment="teardown").ok()
    assert lab.ok("gpu01", NETWORK) == bare
