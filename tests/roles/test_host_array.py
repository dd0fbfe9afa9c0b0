"""The module `host_array` takes blank disks and its own, and refuses every other."""

from __future__ import annotations

import json
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from tests.host_modules import load

ARRAY = {
    "name": "nfs",
    "level": "raid10",
    "array_uuid": "6f1ed002-ab59-5d4e-9d8c-a1b2c3d4e5f6",
    "filesystem_uuid": "ba23ee82-6160-52ce-b28c-a9904c8b8019",
    "kind": "nvme",
    "count": 4,
    "size_gb": 1000,
}
SAID = "MD_LEVEL=raid10\nMD_DEVICES=4\nMD_METADATA=1.2\nMD_UUID=6f1ed002:ab595d4e:9d8ca1b2:c3d4e5f6\n"
OURS = "TYPE=linux_raid_member\nUUID=6f1ed002:ab595d4e:9d8ca1b2:c3d4e5f6\n"


@pytest.fixture
def module() -> ModuleType:
    return load("plugins/modules/host_array.py")


@pytest.fixture
def commands(module: ModuleType, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Any:
    """A function that sets what is on the four disks and returns the list of commands that change something."""

    def have(*signatures: str) -> list[tuple[str, ...]]:
        ran: list[tuple[str, ...]] = []
        on = {f"/dev/nvme{number}n1": signature for number, signature in enumerate(signatures)}

        def run(*command: str, good: tuple[int, ...] = (0,)) -> tuple[int, str]:
            if command[0] == "lsblk":
                sizes = dict.fromkeys(on, 10**12) | {"/dev/nvme9n1": 480 * 10**9}
                rows = [{"path": path, "type": "disk", "size": size, "rota": False} for path, size in sizes.items()]
                return 0, json.dumps({"blockdevices": rows})
            if command[0] == "blkid":
                text = on.get(command[-1], "")
                return (0, text) if text else (2, "")
            if command[:3] in (("mdadm", "--detail", "--export"), ("mdadm", "--examine", "--export")):
                return 0, have.mdadm  # type: ignore[attr-defined]
            ran.append(command)
            return 0, ""

        monkeypatch.setattr(module, "run", run)
        monkeypatch.setattr(module, "Path", lambda path: Path("/nowhere"))
        monkeypatch.setattr(module, "zeros", lambda path: path not in have.damaged)  # type: ignore[attr-defined]
        monkeypatch.setattr(module, "making", lambda wanted: tmp_path / "notes" / "making")
        return ran

    have.mdadm = SAID  # type: ignore[attr-defined]
    have.damaged = []  # type: ignore[attr-defined]
    have.note = tmp_path / "notes" / "making"  # type: ignore[attr-defined]
    monkeypatch.setattr(module.shutil, "which", lambda name: f"/sbin/{name}")
    return have


@pytest.fixture
def start(module: ModuleType, monkeypatch: pytest.MonkeyPatch) -> Any:
    """A function that makes the array run, with its file system or another."""
    look = module.look

    def run(kind: str = "xfs") -> None:
        on = module.Disk("/dev/md/nfs", kind, ARRAY["filesystem_uuid"] if kind else "")
        monkeypatch.setattr(module, "Path", lambda path: Path("/"))
        monkeypatch.setattr(module, "look", lambda path: on if path == on.path else look(path))

    return run


def test_blank_disks_become_the_array_and_the_file_system(module: ModuleType, commands: Any) -> None:
    ran = commands("", "", "", "")
    assert len(module.present(ARRAY, check=False)) == 2
    tools = [command[0] for command in ran if command[0] != "udevadm"]
    assert tools == ["mdadm", "mkfs.xfs"]
    assert "-f" not in next(command for command in ran if command[0] == "mkfs.xfs"), "mkfs itself refuses too"


def test_a_dry_run_touches_nothing(module: ModuleType, commands: Any) -> None:
    ran = commands("", "", "", "")
    assert module.present(ARRAY, check=True)
    assert ran == []


@pytest.mark.parametrize(
    "signature",
    ["TYPE=xfs\nUUID=1\n", "PTTYPE=gpt\nPTUUID=2\n", "TYPE=linux_raid_member\nUUID=0:0:0:0\n", "TYPE=LVM2_member\n"],
)
def test_a_disk_that_holds_anything_else_is_named_and_left(module: ModuleType, commands: Any, signature: str) -> None:
    ran = commands("", "", "", signature)
    with pytest.raises(module.ArrayError, match=r"/dev/nvme3n1 \(.*a disk that holds anything is never used"):
        module.present(ARRAY, check=False)
    assert ran == []


def test_a_missing_disk_is_no_reason_to_make_a_smaller_array(module: ModuleType, commands: Any) -> None:
    ran = commands("", "", "")
    with pytest.raises(module.ArrayError, match="the spec says 4 nvme disks of 1000 GB"):
        module.present(ARRAY, check=False)
    assert ran == []


def test_an_array_of_ours_is_started_and_never_made_anew(module: ModuleType, commands: Any) -> None:
    commands(OURS, OURS, OURS, "")
    (sentence,) = module.present(ARRAY, check=True)
    assert sentence == "start the array of /dev/nvme0n1, /dev/nvme1n1, /dev/nvme2n1"


@pytest.mark.parametrize("runs", [True, False])
@pytest.mark.parametrize(
    ("wish", "is_now", "says"),
    [
        ({"count": 8}, {}, r"/dev/md/nfs is raid10 of 4 disks, the spec says raid10 of 8 - .*grow it by hand"),
        ({"count": 2}, {}, "is raid10 of 4 disks, the spec says raid10 of 2"),
        ({"level": "raid6"}, {}, "is raid10 of 4 disks, the spec says raid6 of 4"),
        ({}, {"MD_UUID=6f1ed002": "MD_UUID=00000000"}, "is the array 00000000:.*, not this platform's"),
        ({}, {"MD_LEVEL=raid10\n": ""}, r"does not run .* start it by hand"),
    ],
)
def test_an_array_of_ours_that_is_another_one_is_refused(
    module: ModuleType, commands: Any, start: Any, runs: bool, wish: Any, is_now: Any, says: str
) -> None:
    ran = commands(OURS, OURS, OURS, OURS)
    if runs:
        start()
    for before, after in is_now.items():
        commands.mdadm = commands.mdadm.replace(before, after)
    for check in (True, False):
        with pytest.raises(module.ArrayError, match=says):
            module.present({**ARRAY, **wish}, check=check)
    assert ran == []


def test_new_disks_beside_an_array_of_ours_do_not_pass_for_a_bigger_one(module: ModuleType, commands: Any) -> None:
    ran = commands(OURS, OURS, OURS, OURS, "", "", "", "")
    with pytest.raises(module.ArrayError, match="of 4 disks, the spec says raid10 of 8"):
        module.present({**ARRAY, "count": 8}, check=False)
    assert ran == []


@pytest.mark.parametrize(
    ("roles", "says"),
    [
        ("0123", []),
        ("013", ["/dev/md/nfs runs with 3 of 4 disks: replace what is missing (mdadm --manage --add)"]),
        ("01s3", ["/dev/md/nfs runs with 3 of 4 disks: replace what is missing (mdadm --manage --add)"]),
    ],
)
def test_an_array_that_lacks_a_disk_is_taken_and_told(
    module: ModuleType, commands: Any, start: Any, roles: str, says: list[str]
) -> None:
    ran = commands(OURS, OURS, OURS, "")
    start()
    words = {"s": "spare"}
    commands.mdadm += "".join(
        f"MD_DEVICE_dev_nvme{number}n1_ROLE={words.get(role, role)}\nMD_DEVICE_dev_nvme{number}n1_DEV=/dev/x\n"
        for number, role in enumerate(roles)
    )
    assert module.present(ARRAY, check=False) == []
    assert module.lacking(ARRAY) == says
    assert ran == []


def test_a_dry_run_on_a_host_that_lost_its_system_needs_no_mdadm(
    module: ModuleType, commands: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    commands(OURS, OURS, OURS, OURS)
    monkeypatch.setattr(module.shutil, "which", lambda name: None)
    commands.mdadm = ""
    assert len(module.present(ARRAY, check=True)) == 1


@pytest.mark.parametrize("check", [True, False])
def test_an_array_of_ours_whose_file_system_nobody_knows_is_never_made_anew(
    module: ModuleType, commands: Any, start: Any, check: bool
) -> None:
    ran = commands(OURS, OURS, OURS, OURS)
    start(kind="")
    with pytest.raises(module.ArrayError, match=r"was finished once.*damaged.*stays as it is: try `xfs_repair -n"):
        module.present(ARRAY, check=check)
    assert ran == []


def test_an_array_that_starts_again_without_its_file_system_is_not_made_anew(module: ModuleType, commands: Any) -> None:
    ran = commands(OURS, OURS, OURS, OURS)
    with pytest.raises(module.ArrayError, match="was finished once"):
        module.present(ARRAY, check=False)
    assert [command[:2] for command in ran if command[0] != "udevadm"] == [("mdadm", "--assemble")]


def test_an_interrupted_making_is_noted_and_finished_by_the_next_run(
    module: ModuleType, commands: Any, start: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    commands("", "", "", "")
    tell = module.run

    def dies(*command: str, good: tuple[int, ...] = (0,)) -> Any:
        if command[:2] == ("mdadm", "--create"):
            assert commands.note.exists(), "noted before the first disk is written"
        if command[0] == "mkfs.xfs":
            raise KeyboardInterrupt
        return tell(*command, good=good)

    monkeypatch.setattr(module, "run", dies)
    with pytest.raises(KeyboardInterrupt):
        module.present(ARRAY, check=False)
    assert commands.note.stat().st_mode & 0o077 == 0
    ran = commands(OURS, OURS, OURS, OURS)
    start(kind="")
    rehearsed = module.present(ARRAY, check=True)
    assert commands.note.exists()
    assert module.present(ARRAY, check=False) == rehearsed == ["make an XFS file system on /dev/md/nfs"]
    assert [command[0] for command in ran if command[0] != "udevadm"] == ["mkfs.xfs"]
    assert not commands.note.exists()


def test_a_finished_array_leaves_no_note(module: ModuleType, commands: Any) -> None:
    commands("", "", "", "")
    module.present(ARRAY, check=False)
    assert not commands.note.exists()


@pytest.mark.parametrize("check", [True, False])
@pytest.mark.parametrize("wish", [{}, {"level": "none", "count": 1}])
def test_a_disk_with_data_that_no_tool_knows_is_not_blank(
    module: ModuleType, commands: Any, wish: Any, check: bool
) -> None:
    wanted = {**ARRAY, **wish}
    ran = commands(*[""] * wanted["count"])
    commands.damaged = ["/dev/nvme0n1"]
    with pytest.raises(module.ArrayError, match=r"/dev/nvme0n1 \(data that no tool knows\).*try xfs_repair"):
        module.present(wanted, check=check)
    assert ran == []


def test_one_blank_disk_gets_a_file_system_and_ours_keeps_it(module: ModuleType, commands: Any) -> None:
    wanted = {**ARRAY, "level": "none", "count": 1}
    ran = commands("")
    assert module.present(wanted, check=True) == module.present(wanted, check=False)
    assert [command[0] for command in ran if command[0] != "udevadm"] == ["mkfs.xfs"]
    ran = commands(f"TYPE=xfs\nUUID={ARRAY['filesystem_uuid']}\n")
    assert module.present(wanted, check=False) == []
    assert ran == []


def test_only_zeros_count_as_blank(module: ModuleType, tmp_path: Path) -> None:
    disk = tmp_path / "disk"
    disk.write_bytes(bytes(module.BLANK_BYTES) + b"beyond it")
    assert module.zeros(str(disk))
    disk.write_bytes(bytes(module.BLANK_BYTES - 1) + b"x")
    assert not module.zeros(str(disk))
    with pytest.raises(module.ArrayError, match="disk"):
        module.zeros(str(tmp_path / "gone" / "disk"))
