"""The twin's resources over the protocol, as far as no machine is needed; the rest is in tests/lab and tests/twin."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from pulumi.runtime.proto import provider_pb2

from platform_iac.lab import guest, guest_image, machine
from platform_iac.lab.guest import Guest
from platform_iac.provider import lab
from platform_iac.provider.values import UNKNOWN, decode
from tests.provider.conftest import Engine

NETWORK, MACHINE, MIRROR = (f"platform:lab:{name}" for name in ("Network", "Machine", "Mirror"))
INPUTS: dict[str, dict[str, Any]] = {
    NETWORK: {"lab": "t", "cidr": "10.9.9.0/24", "domain": "x.test", "hosts": {"a": "10.9.9.2"}, "forwards": {}},
    MACHINE: {
        "lab": "t",
        "name": "a",
        "address": "10.9.9.2",
        "cidr": "10.9.9.0/24",
        "domain": "x.test",
        "binds": {},
    },
    MIRROR: {"lab": "t", "packages": ["munge"], "pip": []},
}
MADE = {
    NETWORK: {"sshConfig": "/c", "netns": "n", "publicKey": "k"},
    MACHINE: {"hostKey": "k", "instance": "i"},
    MIRROR: {"path": "/m", "content": "d"},
}


@pytest.mark.parametrize("token", INPUTS)
def test_a_preview_makes_nothing_and_does_not_know_what_is_made(engine: Engine, token: str) -> None:
    id, outputs = engine.create(token, INPUTS[token], preview=True)
    assert not id
    assert outputs == INPUTS[token] | dict.fromkeys(MADE[token], UNKNOWN)


@pytest.mark.parametrize("token", INPUTS)
def test_the_same_inputs_change_nothing(engine: Engine, token: str) -> None:
    answer = engine.diff(token, INPUTS[token] | MADE[token], INPUTS[token], INPUTS[token])
    assert answer.changes == provider_pb2.DiffResponse.DIFF_NONE


@pytest.mark.parametrize(
    ("token", "change", "replaces"),
    [
        (NETWORK, {"hosts": {"a": "10.9.9.2", "b": "10.9.9.3"}}, []),
        (NETWORK, {"forwards": {"5000": "a:5000"}}, []),
        (NETWORK, {"cidr": "10.8.8.0/24"}, ["cidr"]),
        (MACHINE, {"address": "10.9.9.9"}, ["address"]),
        (MACHINE, {"guest": {"memoryMib": 1024, "drivesMib": [512]}}, ["guest"]),
        (MIRROR, {"packages": ["munge", "slurmd"]}, []),
        (MIRROR, {"lab": "other"}, ["lab"]),
    ],
)
def test_only_what_cannot_change_in_place_replaces(
    engine: Engine, token: str, change: dict[str, Any], replaces: list[str]
) -> None:
    answer = engine.diff(token, INPUTS[token] | MADE[token], INPUTS[token] | change, INPUTS[token])
    assert list(answer.detailedDiff) == list(change)
    assert list(answer.replaces) == replaces


@pytest.mark.parametrize(("status", "missing"), [("running", None), ("stopped", True)])
def test_a_machine_that_is_off_is_started_by_the_next_up(
    engine: Engine, monkeypatch: pytest.MonkeyPatch, status: str, missing: bool | None
) -> None:
    monkeypatch.setattr(machine, "status", lambda lab, name: status)
    state = INPUTS[MACHINE] | MADE[MACHINE]
    found = decode(engine.read(MACHINE, "t/a", INPUTS[MACHINE], state).properties).values
    assert found.get("missing") == missing
    answer = engine.diff(MACHINE, found, INPUTS[MACHINE], INPUTS[MACHINE])
    assert list(answer.detailedDiff) == (["missing"] if missing else [])
    assert not answer.replaces


def test_a_machine_that_is_gone_is_gone(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(machine, "status", lambda lab, name: "absent")
    assert not engine.read(MACHINE, "t/a", INPUTS[MACHINE], INPUTS[MACHINE] | MADE[MACHINE]).id


@pytest.mark.parametrize(
    ("absent", "reasons"), [({}, []), ({"qemu-img": "qemu-utils"}, ["apt-get install qemu-utils"])]
)
def test_a_guest_is_refused_before_anything_is_made_where_qemu_is_not_installed(
    monkeypatch: pytest.MonkeyPatch, absent: dict[str, str], reasons: list[str]
) -> None:
    monkeypatch.setattr(guest, "missing", lambda: absent)
    _, failures = lab.Machine().check({}, INPUTS[MACHINE] | {"guest": {"memoryMib": 512, "drivesMib": []}})
    assert [failure.property for failure in failures] == ["guest"] * len(reasons)
    assert all(reason in failure.reason for reason, failure in zip(reasons, failures, strict=True))
    assert lab.Machine().check({}, INPUTS[MACHINE])[1] == []


def test_a_guest_is_made_of_whole_numbers_from_its_own_image(monkeypatch: pytest.MonkeyPatch, engine: Engine) -> None:
    asked = {}

    def create(*arguments: object, body: Guest | None) -> SimpleNamespace:
        asked.update(image=arguments[3], body=body)
        return SimpleNamespace(host_key="k", instance="i")

    monkeypatch.setattr(machine, "create", create)
    monkeypatch.setattr(machine, "status", lambda lab, name: "absent")
    monkeypatch.setattr(guest_image, "ensure", lambda report: Path("/guests/x"))
    body = {"memoryMib": 512.0, "drivesMib": [64.0, 64.0]}
    engine.create(MACHINE, INPUTS[MACHINE] | {"guest": body}, preview=False)
    assert asked == {"image": Path("/guests/x"), "body": Guest(memory_mib=512, drives_mib=(64, 64))}
    assert all(type(size) is int for size in (asked["body"].memory_mib, *asked["body"].drives_mib))
