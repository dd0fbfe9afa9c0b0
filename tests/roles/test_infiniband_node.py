"""Role infiniband_node on a machine: what jobs find of the fabric. The machine has no adapter, real or simulated."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.twin_support import machines
from tests.twin_support.acceptance import accept
from tests.twin_support.ansible import up_to
from tests.twin_support.machines import Lab

pytestmark = pytest.mark.twin

SPEC = """
apiVersion: platform-iac/v1
name: ibnode
sites:
  lab: {kind: lab, domain: lab.example.net, network: 10.92.0.0/24}
fabric:
  kind: infiniband
  radix: 8
  manager: {partitions: {storage: {pkey: 0x0010, ipoib: true, network: 10.95.0.0/24}}}
pools:
  infra: {site: lab, duty: mirror, hosts: mirror01, addresses: 10.92.0.10}
  gpu: {site: lab, duty: compute, hosts: gpu01, addresses: 10.92.0.21, hardware: {like: gpu-server}}
"""


@pytest.fixture(scope="module")
def lab() -> Iterator[Lab]:
    with machines.lab(SPEC) as made:
        up_to(made, "infiniband_node")
        yield made


def test_infiniband_node_passes_the_acceptance(lab: Lab) -> None:
    # Debian's packages leave their groups behind when they go (Debian policy 9.2.2); udev comes with rdma-core.
    # IP over the fabric is planned and does not run: there is no adapter.
    accept(lab, "infiniband_node", stays="group (rdma|input|kvm|render|sgx)")


def test_jobs_are_told_the_rails_in_order(lab: Lab) -> None:
    assert lab.ok("gpu01", "cat /etc/nccl.conf").splitlines()[0] == "NCCL_IB_HCA==mlx5_0:1,mlx5_1:1"


def test_ip_over_the_fabric_is_ready_for_adapters_that_come(lab: Lab) -> None:
    assert lab.ok("gpu01", "cat /etc/platform-iac/ipoib") == "ib-0010 mlx5_0 0x8010 4092 10.95.0.21/24\n"
    assert lab.ok("gpu01", "/usr/local/libexec/platform-iac/ipoib show") == "ib-0010 is not there\n"
    assert lab.run("gpu01", "systemctl is-enabled ipoib.service; systemctl is-active ipoib.service").text == (
        "enabled\ninactive\n"
    )
