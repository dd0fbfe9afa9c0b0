"""The module `host_users` decides what to do from the accounts that are there."""

from __future__ import annotations

import pwd
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from tests.host_modules import load


@pytest.fixture
def module() -> ModuleType:
    return load("base/library/host_users.py")


@pytest.fixture
def accounts(module: ModuleType, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Any:
    """A function that sets which accounts the host has: name to (uid, mark)."""
    monkeypatch.setattr(module.grp, "getgrall", list)
    monkeypatch.setattr(module, "_group_exists", lambda name, gid: False)

    def have(**found: tuple[int, str]) -> None:
        for name in found:
            (tmp_path / name).mkdir(mode=0o700)
        rows = [
            pwd.struct_passwd((name, "x", uid, uid, mark, str(tmp_path / name), "/bin/bash"))
            for name, (uid, mark) in found.items()
        ]
        monkeypatch.setattr(module.pwd, "getpwall", lambda: rows)

    return have


def sentences(module: ModuleType, users: dict[str, dict[str, Any]]) -> list[str]:
    return [sentence for sentence, _ in module.steps(users)]


def test_a_new_member_gets_a_group_and_an_account_of_the_same_number(module: ModuleType, accounts: Any) -> None:
    accounts(root=(0, "root"))
    assert sentences(module, {"alice": {"uid": 20001}}) == ["add group alice", "add alice (20001)"]


def test_a_member_who_is_there_is_left_alone(module: ModuleType, accounts: Any) -> None:
    accounts(alice=(20001, "platform-iac"))
    assert sentences(module, {"alice": {"uid": 20001}}) == []


def test_who_is_not_asked_for_any_more_goes_and_the_home_stays(module: ModuleType, accounts: Any) -> None:
    accounts(alice=(20001, "platform-iac"), daemon=(1, "daemon"))
    assert module.steps({}) == [("remove alice, keep the home", ("userdel", "--force", "alice"))]


def test_a_home_that_others_can_read_is_closed(module: ModuleType, accounts: Any, tmp_path: Path) -> None:
    accounts(alice=(20001, "platform-iac"))
    (tmp_path / "alice").chmod(0o755)
    assert sentences(module, {"alice": {"uid": 20001}}) == [f"{tmp_path}/alice is 0755, becomes 0700"]


def test_another_shell_is_set(module: ModuleType, accounts: Any) -> None:
    accounts(alice=(20001, "platform-iac"))
    assert sentences(module, {"alice": {"uid": 20001, "shell": "/bin/sh"}}) == ["shell of alice becomes /bin/sh"]


def test_everyone_in_the_way_is_named_at_once(module: ModuleType, accounts: Any) -> None:
    accounts(alice=(1000, "Alice the admin"), bob=(20009, "platform-iac"), carol=(20004, ""))
    with pytest.raises(module.UserError) as told:
        module.steps({"alice": {"uid": 20001}, "bob": {"uid": 20002}, "dave": {"uid": 20004}})
    assert str(told.value).split("; ") == [
        "an account alice is there already and is not this platform's",
        "alice has uid 1000 here, the spec says 20001",
        "bob has uid 20009 here, the spec says 20002",
        "uid 20004 of dave is taken by carol",
    ]


def test_a_command_that_fails_says_why(module: ModuleType) -> None:
    with pytest.raises(module.UserError, match=r"ls /nowhere: .*No such file"):
        module.execute(("ls", "/nowhere"))


def test_homes_on_shared_storage_are_not_made_here(module: ModuleType, accounts: Any, tmp_path: Path) -> None:
    accounts(alice=(20001, "platform-iac"))
    (tmp_path / "alice").rmdir()
    (join,) = [
        command
        for sentence, command in module.steps({"alice": {"uid": 20001}, "bob": {"uid": 20002}}, homes=False)
        if sentence.startswith("add bob")
    ]
    assert "--no-create-home" in join
    assert module.steps({"alice": {"uid": 20001}}, homes=False) == []
