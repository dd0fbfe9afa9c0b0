"""Property paths are those that Pulumi reads and people search for."""

from __future__ import annotations

from typing import Any

import pytest

from platform_iac.provider import diff
from platform_iac.provider.values import UNKNOWN

OLD: dict[str, Any] = {
    "role": "slurm",
    "packages": ["slurmd"],
    "files": {"/etc/slurm/slurm.conf": {"content": "a", "mode": "0644"}},
    "units": {"slurmd.service": {"enabled": True}},
    "vars": {"driver": "simulated"},
    "hosts": {"gpu01": {"address": "10.0.0.1", "vars": {"gpus": 4}, "files": {}}},
}


@pytest.mark.parametrize(
    ("new", "paths"),
    [
        ({}, {}),
        (
            {"files": {"/etc/slurm/slurm.conf": {"content": "b", "mode": "0644"}}},
            {'files["/etc/slurm/slurm.conf"].content': "update"},
        ),
        ({"files": {}}, {'files["/etc/slurm/slurm.conf"]': "delete"}),
        ({"units": {**OLD["units"], "munge.service": {}}}, {'units["munge.service"]': "add"}),
        ({"packages": ["slurmd", "munge"]}, {"packages": "update"}),
        ({"vars": {"driver": "real"}}, {'vars["driver"]': "update"}),
        ({"hosts": {**OLD["hosts"], "gpu02": {}}}, {'hosts["gpu02"]': "add"}),
        ({"hosts": {}}, {'hosts["gpu01"]': "delete"}),
        ({"hosts": UNKNOWN}, {"hosts": "update"}),
        (
            {"hosts": {"gpu01": {**OLD["hosts"]["gpu01"], "instance": UNKNOWN}}},
            {'hosts["gpu01"].instance': "update"},
        ),
        (
            {"hosts": {"gpu01": {**OLD["hosts"]["gpu01"], "files": {"/etc/a b": {}}}}},
            {'hosts["gpu01"].files["/etc/a b"]': "add"},
        ),
    ],
)
def test_each_difference_has_its_path(new: dict[str, Any], paths: dict[str, str]) -> None:
    found = diff.inputs(OLD, OLD | new, whole=frozenset({"role", "packages"}))
    assert {path: change.kind for path, change in found.items()} == paths


def test_a_property_that_comes_or_goes_is_named_as_a_whole() -> None:
    assert diff.inputs({"a": {"b": 1}}, {"c": 1}, whole=frozenset()).keys() == {"a", "c"}
