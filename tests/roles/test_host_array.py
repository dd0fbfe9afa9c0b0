"""The module `host_array` takes blank disks and its own, and refuses every other."""

from __future__ import annotations

import importlib.util
import json
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

PATH = Path(__file__).resolve().parents[2] / "roles" / "plugins" / "modules" / "host_array.py"
ARRAY = {
    "name": "nfs",
    "level": "raid10",
    "array_uuid": "6f1ed002-ab59-5d4e-9d8c-a1b2c3d4e5f6",
    "filesystem_uuid": "ba23ee82-6160-52ce-b28c-a9904c8b8019",
    "kind": "nvme",
    "count": 4,
    "size_gb": 1000,
}
OURS = "TYPE=linux_raid_member\nUUID=6f1ed002:ab595d4e:9d8ca1b2:c3d4e5f6\n"


@pytest.fixture
def module(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    spec = importlib.util.spec_from_file_location("host_array", PATH)
    assert spec
    assert spec.loader
    loaded = importlib.util.module_from_spec(spec)
    monkeypatch.setitem(sys.modules, "host_array", loaded)  # dataclasses look themselves up
    spec.loader.exec_module(loaded)
    return loaded


@pytest.fixture
def commands(module: ModuleType, monkeypatch: pytest.MonkeyPatch) -> Any:
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
            ran.append(command)
            return 0, ""

        monkeypatch.setattr(module, "run", run)
        monkeypatch.setattr(module, "Path", lambda path: Path("/nowhere"))
        return ran

    return have


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
