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
fabric: {kind: infiniband, radix: 8}
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
    # Debian's packages leave their group behind when they go (Debian policy 9.2.2).
    accept(lab, "infiniband_node", stays="group rdma")


def test_jobs_are_told_the_rails_in_order(lab: Lab) -> None:
    assert lab.ok("gpu01", "cat /etc/nccl.conf").splitlines()[0] == "NCCL_IB_HCA==mlx5_0:1,mlx5_1:1"
