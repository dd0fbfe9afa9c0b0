"""The module `host_venv` makes an environment once, and again when it would hold something else."""

from __future__ import annotations

import hashlib
import io
import json
import os
import sys
import zipfile
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from tests.host_modules import load

WANTED = ["b==2", "a==1"]


@pytest.fixture
def host_venv(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """The module, whose commands are noted instead of run; `uv venv` leaves an interpreter."""
    module: Any = load("plugins/modules/host_venv.py")
    module.ran = []

    def run(command: list[str]) -> None:
        module.ran.append(command)
        if command[1:2] == ["venv"]:
            program = Path(command[-1]) / "bin" / "python"
            program.parent.mkdir(parents=True)
            program.symlink_to(sys.executable)

    monkeypatch.setattr(module, "run", run)
    monkeypatch.setattr(module, "_uv", lambda folder, index: "uv")
    return module  # type: ignore[no-any-return]


def same(module: ModuleType, path: Path, requirements: list[str]) -> bool:
    return bool(module.found(path) == module.wanted(requirements, ["a"]))


def test_an_environment_knows_what_it_was_made_from(host_venv: ModuleType, tmp_path: Path) -> None:
    path = tmp_path / "venv"
    assert host_venv.found(path) is None
    host_venv.make(path, WANTED, "http://mirror01/pypi/simple/", ["a"])
    assert same(host_venv, path, WANTED)
    assert same(host_venv, path, WANTED[::-1]), "the order of requirements is nothing"
    assert not same(host_venv, path, ["a==1", "b==3"])


def test_an_interrupted_installation_is_not_taken_for_a_whole_one(
    host_venv: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(command: list[str]) -> None:
        if "install" in command:
            raise host_venv.VenvError("no a==1 in the index")

    path = tmp_path / "venv"
    monkeypatch.setattr(host_venv, "run", fail)
    with pytest.raises(host_venv.VenvError, match="no a==1"):
        host_venv.make(path, ["a==1"], "", ["a"])
    assert host_venv.found(path) is None


@pytest.mark.parametrize("word", ["uv", "install", "-c"])
def test_a_change_that_fails_leaves_what_is_there(
    host_venv: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, word: str
) -> None:
    path, run = tmp_path / "venv", host_venv.run
    host_venv.make(path, WANTED, "", ["a"])

    def fail(command: list[str]) -> None:
        if word in command:
            raise host_venv.VenvError("the index does not answer")
        run(command)

    def no_uv(folder: Path, index: str) -> str:
        if word == "uv":
            raise OSError("the index does not answer")
        return "program"

    monkeypatch.setattr(host_venv, "run", fail)
    monkeypatch.setattr(host_venv, "_uv", no_uv)
    with pytest.raises((host_venv.VenvError, OSError), match="does not answer"):
        host_venv.make(path, ["a==2"], "", ["a"])
    assert same(host_venv, path, WANTED)
    monkeypatch.setattr(host_venv, "run", run)
    monkeypatch.setattr(host_venv, "_uv", lambda folder, index: "uv")
    host_venv.make(path, ["a==2"], "", ["a"])
    assert same(host_venv, path, ["a==2"])


def test_nothing_is_tried_beside_where_nothing_is(host_venv: ModuleType, tmp_path: Path) -> None:
    host_venv.make(tmp_path / "venv", WANTED, "", [])
    assert len([command for command in host_venv.ran if "install" in command]) == 1


def test_an_environment_without_its_interpreter_is_made_again(host_venv: ModuleType, tmp_path: Path) -> None:
    path = tmp_path / "venv"
    host_venv.make(path, WANTED, "", ["a"])
    (path / "bin" / "python").unlink()
    assert host_venv.found(path) is None


def test_a_mark_that_is_no_json_counts_as_none(host_venv: ModuleType, tmp_path: Path) -> None:
    (tmp_path / host_venv.MARK).write_text("{")
    assert host_venv.found(tmp_path) is None
    (tmp_path / host_venv.MARK).write_text(json.dumps([]))
    assert host_venv.found(tmp_path) is None


def test_packages_come_from_the_index_alone_and_only_as_wheels(host_venv: ModuleType, tmp_path: Path) -> None:
    host_venv.make(tmp_path / "venv", WANTED, "http://mirror01/pypi/simple/", [])
    install = next(command for command in host_venv.ran if "install" in command)
    assert install[install.index("--index-url") + 1] == "http://mirror01/pypi/simple/"
    assert install[install.index("--only-binary") + 1] == ":all:"
    assert install[-2:] == WANTED


def test_a_failed_command_is_told_with_what_it_said() -> None:
    module = load("plugins/modules/host_venv.py")
    with pytest.raises(module.VenvError, match="because of this"):
        module.run([sys.executable, "-c", "import sys; sys.exit('because of this')"])


def test_uv_is_the_newest_of_the_index_for_this_kind_of_machine() -> None:
    names = ("0.9.30-py3-none-manylinux_2_17_x86_64.manylinux2014_x86_64", "0.13.9-py3-none-manylinux_2_17_x86_64",
             "0.14.0-py3-none-manylinux_2_28_aarch64", "0.14.0rc1-py3-none-manylinux_2_17_x86_64",
             "0.14.0-py3-none-musllinux_1_1_x86_64")  # fmt: skip
    page = "".join(f'<a href="../../wheels/uv-{name}.whl#sha256=0&amp;x">uv</a>' for name in names)
    module = load("plugins/modules/host_venv.py")
    link, member = module.newest(page, "x86_64")
    assert link == "../../wheels/uv-0.13.9-py3-none-manylinux_2_17_x86_64.whl#sha256=0&x"
    assert member == "uv-0.13.9.data/scripts/uv"
    with pytest.raises(module.VenvError, match="no uv for Linux on riscv64"):
        module.newest(page, "riscv64")


@pytest.mark.parametrize("sound", [True, False])
def test_uv_from_the_index_is_what_the_index_says_it_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, sound: bool
) -> None:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as wheel:
        wheel.writestr("uv-1.0.data/scripts/uv", "program")
    digest = hashlib.sha256(buffer.getvalue()).hexdigest() if sound else "0" * 64
    name = f"uv-1.0-py3-none-manylinux_2_17_{os.uname().machine}.whl"
    answers = {
        "http://mirror01/pypi/simple/uv/": f'<a href="../../wheels/{name}#sha256={digest}">'.encode(),
        f"http://mirror01/pypi/wheels/{name}#sha256={digest}": buffer.getvalue(),
    }
    module: Any = load("plugins/modules/host_venv.py")
    monkeypatch.setattr(module, "_get", answers.__getitem__)
    if sound:
        program = Path(module._uv(tmp_path, "http://mirror01/pypi/simple/"))
        assert program.read_text() == "program"
        assert os.access(program, os.X_OK)
    else:
        with pytest.raises(module.VenvError, match="not what the index says"):
            module._uv(tmp_path, "http://mirror01/pypi/simple/")
