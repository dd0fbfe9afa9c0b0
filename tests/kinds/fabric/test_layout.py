"""A hall in the spec: refused where a rack is too low, and otherwise what the planner takes."""

from __future__ import annotations

from typing import Any

import pytest

from platform_iac.fabric.racks import Layout
from platform_iac.kinds.fabric._layout import Hall
from platform_iac.plan.context import PlanError
from platform_iac.plan.make import hosts, wire
from platform_iac.spec.errors import SpecError
from platform_iac.spec.load import from_data


def spec(kind: str, layout: dict[str, Any]) -> dict[str, Any]:
    """A spec of three hosts with two rails."""
    ports = {"kind": kind, "purpose": "compute", "product": "CX7", "devices": "mlx5_[0-1]", "rate_gbps": 200}
    return {
        "apiVersion": "platform-iac/v1",
        "name": "falcon",
        "fabric": {"kind": kind, "radix": 8, "layout": layout},
        "pools": {"gpu": {"duty": "compute", "hosts": "gpu[01-03]", "hardware": {"nics": [ports]}}},
    }


def test_what_is_left_out_is_as_in_a_superpod() -> None:
    assert Hall().layout() == Layout()


@pytest.mark.parametrize("kind", ["infiniband", "ethernet"])
def test_both_kinds_stand_where_the_spec_says(kind: str) -> None:
    switches = ["leaf-01-1", "leaf-01-2", "spine-001"]
    racks = {
        "B03": {"hosts": "gpu[01-02]", "switches": "leaf-01-[1-2]"},
        "B04": {"hosts": "gpu03", "switches": "spine-001"},
    }
    data = spec(kind, {"racks": racks, "rack_u": 30})
    if kind == "infiniband":
        data["fabric"]["manager_cables"] = 0
    platform = from_data(data)
    found = wire(platform, hosts(platform))
    assert found is not None
    assert [(one.name, one.rack, one.rack_u) for one in found.switches] == [
        (name, rack, unit) for name, rack, unit in zip(switches, ["B03", "B03", "B04"], [30, 29, 30], strict=True)
    ]
    assert {one.host: (one.rack, one.rack_u) for one in found.adapters} == {
        "gpu01": ("B03", 1),
        "gpu02": ("B03", 9),
        "gpu03": ("B04", 1),
    }
    assert all(cable.length_m and cable.medium for cable in found.cables)


@pytest.mark.parametrize(
    ("layout", "message"),
    [
        ({"hosts_per_rack": 7}, "7 hosts of 8 units do not fit a rack of 48 — take `hosts_per_rack: 6`"),
        ({"switch_u": 4}, "16 switches of 4 units do not fit a rack of 48 — take `switches_per_rack: 12`"),
        ({"host_u": 50}, "one of the hosts is 50 units high, and a rack 48 — take higher racks"),
        ({"racks": {"b3": {"hosts": "gpu01"}}}, "'b3' is no rack — write its row in letters and its place in digits"),
    ],
)
def test_what_no_rack_holds_is_refused_with_its_place(layout: dict[str, Any], message: str) -> None:
    with pytest.raises(SpecError, match=rf"layout.*{message}"):
        from_data(spec("infiniband", layout))


def test_a_hall_that_does_not_hold_the_fabric_stops_the_plan() -> None:
    platform = from_data(spec("ethernet", {"rows": 1}))
    with pytest.raises(PlanError, match=r"fabric\.layout: with 4 hosts a rack it takes 2 rows, the hall has 1"):
        wire(platform, hosts(platform))
