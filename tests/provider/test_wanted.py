"""A host's digest changes with what it gets, and with nothing else."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import pytest

from platform_iac.provider import wanted

INPUTS: dict[str, Any] = {
    "role": "gpu",
    "digest": "d",
    "packages": ["a"],
    "files": {"/etc/a": {"content": "@@secret/db@@"}},
    "vars": {"driver": "real"},
    "hosts": {
        "one": {"address": "1", "hostKey": "k", "instance": "i", "vars": {"gpus": 4}, "files": {"/etc/one": {}}},
        "two": {"address": "2", "hostKey": "k", "instance": "i", "vars": {}, "files": {}},
    },
    "sshConfig": "/c",
    "secrets": {"db": "x"},
}


@pytest.mark.parametrize(
    ("change", "differ"),
    [
        (lambda new: new.update(sshConfig="/other"), set()),
        (lambda new: new["hosts"]["one"].update(address="9", hostKey="other"), set()),
        (lambda new: new["hosts"].pop("two"), set()),
        (lambda new: new["hosts"]["one"].update(instance="new"), {"one"}),
        (lambda new: new["hosts"]["two"]["vars"].update(gpus=8), {"two"}),
        (lambda new: new["hosts"]["one"]["files"].clear(), {"one"}),
        (lambda new: new.update(digest="e"), {"one", "two"}),
        (lambda new: new["secrets"].update(db="y"), {"one", "two"}),
        (lambda new: new["packages"].append("b"), {"one", "two"}),
    ],
)
def test_the_digest_changes_where_the_host_changes(change: Callable[[Any], Any], differ: set[str]) -> None:
    new = copy.deepcopy(INPUTS)
    change(new)
    before, after = wanted.digests(INPUTS, salt="s"), wanted.digests(new, salt="s")
    assert {host for host in after if before[host] != after[host]} == differ


def test_the_digest_is_salted() -> None:
    assert wanted.digests(INPUTS, salt="a") != wanted.digests(INPUTS, salt="b")


def test_a_host_s_own_values_win_and_all_have_the_role_s_prefix() -> None:
    arguments = wanted.arguments(INPUTS | {"vars": {"driver": "real", "gpus": 1}}, "one")
    assert arguments == {
        "gpu_packages": ["a"],
        "gpu_files": {"/etc/a": {"content": "@@secret/db@@"}, "/etc/one": {}},
        "gpu_driver": "real",
        "gpu_gpus": 4,
    }


def test_only_what_a_run_has_is_passed() -> None:
    assert wanted.arguments({"role": "r", "packages": [], "users": {}, "hosts": {"a": {}}}, "a") == {}


def test_placeholders_are_found_and_filled() -> None:
    assert wanted.secrets_asked_for(INPUTS) == {"db"}
    assert wanted.fill("a @@secret/db@@ @@secret/no@@", {"db": "x"}) == "a x @@secret/no@@"
