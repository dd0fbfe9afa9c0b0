"""/etc/nccl.conf: rails in order, and only hosts of the fabric."""

from __future__ import annotations

from dataclasses import replace

import pytest

from platform_iac.fabric.model import Fabric
from platform_iac.kinds.fabric._nccl import cross_nic, settings
from tests.fabric.handmade import fabric

WIRED = fabric("gpu[001-031]")
CLASSIC = replace(WIRED, switches=tuple(replace(switch, rail=0) for switch in WIRED.switches))


def test_adapters_are_listed_exactly_and_in_the_order_of_their_rails() -> None:
    turned = replace(WIRED, adapters=tuple(reversed(WIRED.adapters)))
    (conf,) = settings(turned)["gpu007"]
    assert conf.path == "/etc/nccl.conf"
    assert conf.content.splitlines()[0] == (
        "NCCL_IB_HCA==mlx5_0:1,mlx5_1:1,mlx5_2:1,mlx5_3:1,mlx5_4:1,mlx5_5:1,mlx5_6:1,mlx5_7:1"
    )


def test_every_host_of_a_job_has_it_and_no_manager() -> None:
    assert list(settings(WIRED)) == [f"gpu{number:03}" for number in range(1, 32)]


def test_equal_hosts_share_one_file_in_memory() -> None:
    found = settings(WIRED)
    assert found["gpu001"] is found["gpu031"]


@pytest.mark.parametrize(
    ("wired", "expected"),
    [(WIRED, 2), (replace(WIRED, blocking=2.0), 0), (CLASSIC, 1)],
    ids=["rails", "rails with slow ways between them", "all adapters of a host on one switch"],
)
def test_crossing_rails_follows_the_fabric(wired: Fabric, expected: int) -> None:
    assert cross_nic(wired) == expected
