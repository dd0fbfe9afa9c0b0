"""Shipping files: what is written, what is shown, what is left alone."""

from __future__ import annotations

import getpass
import grp
import os
import stat
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

VALUE = "5ec4e7" * 8


def wanted(content: str, mode: str = "0644") -> dict[str, Any]:
    return {"content": content, "mode": mode, "owner": getpass.getuser(), "group": grp.getgrgid(os.getgid()).gr_name}


def test_a_new_file_gets_its_content_mode_and_parents(host_files: ModuleType, tmp_path: Path) -> None:
    path = tmp_path / "etc" / "slurm" / "slurm.conf"
    old = os.umask(0o077)
    try:
        outcome = host_files.ship(str(path), wanted("ClusterName=a\n", "0640"), {}, check=False)
    finally:
        os.umask(old)
    assert outcome.changed
    assert path.read_text() == "ClusterName=a\n"
    assert stat.S_IMODE(path.stat().st_mode) == 0o640
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o755
    assert [entry.name for entry in path.parent.iterdir()] == ["slurm.conf"]


def test_the_same_file_again_changes_nothing(host_files: ModuleType, tmp_path: Path) -> None:
    path = tmp_path / "a"
    host_files.ship(str(path), wanted("x\n"), {}, check=False)
    inode = path.stat().st_ino
    assert not host_files.ship(str(path), wanted("x\n"), {}, check=False).changed
    assert path.stat().st_ino == inode


def test_check_mode_tells_the_change_and_makes_none(host_files: ModuleType, tmp_path: Path) -> None:
    path = tmp_path / "no" / "folder" / "a"
    outcome = host_files.ship(str(path), wanted("x\n"), {}, check=True)
    assert outcome.changed
    assert outcome.diff["after"] == "x\n"
    assert list(tmp_path.iterdir()) == []


def test_check_mode_needs_no_owner_on_a_virgin_host(host_files: ModuleType, tmp_path: Path) -> None:
    file = {"content": "x", "mode": "0400", "owner": "not-there-yet", "group": "not-there-yet"}
    assert host_files.ship(str(tmp_path / "key"), file, {}, check=True).changed
    with pytest.raises(OSError, match="not-there-yet"):
        host_files.ship(str(tmp_path / "key"), file, {}, check=False)
    assert list(tmp_path.iterdir()) == []


def test_a_changed_mode_is_mended_without_rewriting(host_files: ModuleType, tmp_path: Path) -> None:
    path = tmp_path / "munge.key"
    host_files.ship(str(path), wanted("k", "0400"), {}, check=False)
    inode = path.stat().st_ino
    path.chmod(0o644)
    outcome = host_files.ship(str(path), wanted("k", "0400"), {}, check=False)
    assert outcome.diff["before"].startswith("0644 ")
    assert outcome.diff["after"].startswith("0400 ")
    assert stat.S_IMODE(path.stat().st_mode) == 0o400
    assert path.stat().st_ino == inode


def test_a_link_is_replaced_and_its_target_left_alone(host_files: ModuleType, tmp_path: Path) -> None:
    target = tmp_path / "target"
    target.write_text("precious")
    link = tmp_path / "link"
    link.symlink_to(target)
    assert host_files.ship(str(link), wanted("mine"), {}, check=False).changed
    assert target.read_text() == "precious"
    assert not link.is_symlink()


def test_a_folder_in_the_way_is_an_error(host_files: ModuleType, tmp_path: Path) -> None:
    with pytest.raises(OSError, match="no regular file"):
        host_files.ship(str(tmp_path), wanted("x"), {}, check=True)


def test_a_secret_is_written_but_never_shown(host_files: ModuleType, tmp_path: Path) -> None:
    path = tmp_path / "db.conf"
    path.write_text(f"host=db\npassword={'old' * 9}\nextra=hand-made\n")
    file = wanted("host=db\npassword=@@secret/db@@\n", "0600")
    outcome = host_files.ship(str(path), file, {"db": VALUE}, check=False)
    assert path.read_text() == f"host=db\npassword={VALUE}\n"
    assert "oldold" not in str(outcome)
    assert VALUE not in str(outcome)
    assert outcome.diff["before"] == f"host=db\n{host_files.HIDDEN * 2}"
    assert outcome.diff["after"] == "host=db\npassword=@@secret/db@@\n"


def test_the_secret_of_a_plan_before_is_not_shown(host_files: ModuleType, tmp_path: Path) -> None:
    path = tmp_path / "db.conf"
    path.write_text(f"host=db\npassword={VALUE}\n")
    path.chmod(0o640)
    outcome = host_files.ship(str(path), wanted("host=db\nsocket=yes\n", "0640"), {}, check=True)
    assert outcome.diff["before"] == f"host=db\n{host_files.HIDDEN}"
    assert outcome.diff["after"] == "host=db\nsocket=yes\n"


def test_what_everybody_may_read_is_shown(host_files: ModuleType, tmp_path: Path) -> None:
    path = tmp_path / "slurm.conf"
    path.write_text("MaxTime=7\n")
    path.chmod(0o644)
    assert host_files.ship(str(path), wanted("MaxTime=2\n"), {}, check=True).diff["before"] == "MaxTime=7\n"


def test_a_secret_that_was_not_supplied_is_named(host_files: ModuleType, tmp_path: Path) -> None:
    with pytest.raises(KeyError, match="munge"):
        host_files.ship(str(tmp_path / "a"), wanted("@@secret/munge@@"), {}, check=True)


def test_removing_takes_the_file_and_nothing_that_a_package_owns(
    host_files: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    packaged = tmp_path / "packaged"
    path = packaged / "ours" / "a"
    host_files.ship(str(path), wanted("x"), {}, check=False)
    monkeypatch.setattr(host_files, "_packaged", lambda folder: folder == packaged)
    assert host_files.remove(str(path), wanted("x"), {}, check=True).changed
    assert path.exists()
    assert host_files.remove(str(path), wanted("x"), {}, check=False).changed
    assert list(tmp_path.iterdir()) == [packaged]
    assert list(packaged.iterdir()) == []
    assert not host_files.remove(str(path), wanted("x"), {}, check=False).changed


def test_the_action_gives_only_the_secrets_that_files_ask_for(host_files_action: ModuleType, tmp_path: Path) -> None:
    store = tmp_path / "secrets.json"
    store.write_text('{"munge": "a", "db": "b"}')
    files = {"/etc/munge.key": {"content": "@@secret/munge@@"}, "/etc/motd": {"content": "hello"}}
    names = host_files_action.asked_for(files)
    assert host_files_action.supply(names, str(store)) == {"munge": "a"}


def test_the_action_names_a_secret_it_does_not_have(host_files_action: ModuleType) -> None:
    with pytest.raises(host_files_action.AnsibleActionFail, match="munge"):
        host_files_action.supply({"munge"}, "")


def test_the_action_needs_no_secret_to_remove_a_file(host_files_action: ModuleType, tmp_path: Path) -> None:
    store = tmp_path / "secrets.json"
    store.write_text('{"db": "b"}')
    assert host_files_action.supply({"db", "munge"}, str(store), needed=False) == {"db": "b"}
    assert host_files_action.supply({"munge"}, "", needed=False) == {}
