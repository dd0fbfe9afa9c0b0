"""Where hosts are in a fabric, and the same as labels."""

from __future__ import annotations

import re

from platform_iac.fabric.hierarchy import places
from platform_iac.fabric.labels import labels, levels
from tests.fabric.handmade import fabric

LABEL = re.compile(r"([a-z0-9.-]{1,253}/)?[A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?")
"""What Kubernetes takes as a key, and its second half as a value (Labels and Selectors, "Syntax")."""


def test_a_host_is_where_its_first_rail_is() -> None:
    found = {place.host: place for place in places(fabric("gpu[001-063]"))}
    assert found["gpu001"].path == ("fabric", "leaf-01-1", "gpu001")
    assert found["gpu032"].leaf == "leaf-01-1"
    assert found["gpu033"].path == ("fabric", "leaf-02-1", "gpu033")
    assert len(found) == 63


def test_managers_have_no_place_among_jobs() -> None:
    assert "ufm01" not in {place.host for place in places(fabric("gpu[001-031]"))}


def test_three_tiers_have_pods() -> None:
    found = {place.host: place for place in places(fabric("gpu[0001-0256]", pods=2))}
    assert found["gpu0001"].path == ("fabric", "pod-01", "leaf-01-1", "gpu0001")
    assert found["gpu0256"].path == ("fabric", "pod-02", "leaf-08-1", "gpu0256")


def test_labels_say_the_same_as_the_places() -> None:
    wired = fabric("gpu[001-063]", racks=True)
    assert labels(wired)["gpu063"] == {
        "network.topology.nvidia.com/leaf": "leaf-02-1",
        "network.topology.nvidia.com/spine": "fabric",
        "topology.platform-iac/rack": "r16",
        "topology.platform-iac/unit": "unit-02",
    }
    assert levels(wired) == (
        "network.topology.nvidia.com/spine",
        "network.topology.nvidia.com/leaf",
        "kubernetes.io/hostname",
    )


def test_every_host_has_every_level() -> None:
    wired = fabric("gpu[0001-0256]", pods=2)
    *keys, hostname = levels(wired)
    assert hostname == "kubernetes.io/hostname"
    assert len(keys) == 3
    for found in labels(wired).values():
        assert set(keys) <= found.keys()


def test_kubernetes_takes_them() -> None:
    for found in labels(fabric("gpu[0001-0256]", pods=2, racks=True)).values():
        assert all(LABEL.fullmatch(key) and LABEL.fullmatch(value) for key, value in found.items())
