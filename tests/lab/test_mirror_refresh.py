"""A mirror whose repositories are asked anew: another folder, which counts from then on. Without a network."""

from __future__ import annotations

import os
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from platform_iac.commands import artifacts as command
from platform_iac.commands.errors import CommandError
from platform_iac.lab import artifacts, debian, image, paths, wheels
from platform_iac.lab.paths import LabError


class Repositories:
    """What the repositories have; `asked` tells for each download whether it was to be asked anew."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.names, self.asked = folder, ["slurmd_1_amd64.deb", "munge_1%3a2_amd64.deb"], list[bool]()
        self.there = True

    def debs(self, packages: Sequence[str], root: Path, report: image.Report, *, fresh: bool = False) -> list[Path]:
        if not self.there:
            raise LabError("apt-get: no network")
        self.asked.append(fresh)
        return [self.file(name) for name in self.names]

    def wheels(self, requirements: Sequence[str], report: image.Report, *, fresh: bool = False) -> list[Path]:
        self.asked.append(fresh)
        return [self.file("uv-1-py3-none-any.whl")]

    def file(self, name: str) -> Path:
        path = self.folder / name
        path.write_text(name)
        return path


@pytest.fixture
def repositories(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Repositories:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    (tmp_path / "pool").mkdir()
    stub = Repositories(tmp_path / "pool")
    monkeypatch.setattr(debian, "download", stub.debs)
    monkeypatch.setattr(wheels, "download", stub.wheels)
    monkeypatch.setattr(debian, "index", lambda folder: (folder / "InRelease").write_text("signed"))
    monkeypatch.setattr(wheels, "index", lambda folder: None)
    return stub


def ensure(*, refresh: bool = False, said: list[str] | None = None) -> Path:
    report = said.append if said is not None else print
    return artifacts.ensure(["munge", "slurmd"], [], Path("/image"), report, refresh=refresh)


def content(mirror: Path) -> list[str]:
    return sorted(path.name for path in (mirror / "debian").iterdir())


def test_without_being_asked_to_nobody_asks_again(repositories: Repositories) -> None:
    first = ensure()
    repositories.names = ["slurmd_2_amd64.deb"]
    assert ensure() == first
    assert repositories.asked == [False, False]


def test_newer_packages_make_another_mirror_that_counts_from_then_on(repositories: Repositories) -> None:
    first = ensure()
    before = content(first)
    repositories.names[0] = "slurmd_2_amd64.deb"
    said: list[str] = []
    second = ensure(refresh=True, said=said)
    assert repositories.asked[2:] == [True, True]
    assert "mirror: 1 packages are new: slurmd_2_amd64.deb" in said
    assert content(second) == ["InRelease", "munge_2_amd64.deb", "slurmd_2_amd64.deb"]
    assert content(first) == before, "machines may have this folder"
    assert ensure() == second
    for number in range(3, 13):
        repositories.names[0] = f"slurmd_{number}_amd64.deb"
        last = ensure(refresh=True)
    assert ensure() == last, "the twelfth comes after the second"
    assert len(list(first.parent.glob("[!.]*"))) == 12


def test_where_there_is_nothing_else_the_mirror_stays(repositories: Repositories) -> None:
    first = ensure()
    assert ensure(refresh=True) == first
    assert [path.name for path in first.parent.glob("*") if path.name != ".lock"] == [first.name]


def test_a_refresh_that_fails_leaves_the_mirror_that_was(repositories: Repositories) -> None:
    first = ensure()
    repositories.there = False
    with pytest.raises(LabError, match="no network"):
        ensure(refresh=True)
    assert ensure() == first
    repositories.there, repositories.names = True, ["slurmd_2_amd64.deb"]
    assert content(ensure(refresh=True)) == ["InRelease", "slurmd_2_amd64.deb"]


def test_a_first_mirror_that_is_asked_anew_is_made_of_fresh_lists(repositories: Repositories) -> None:
    assert ensure(refresh=True).name == artifacts.digest(["munge", "slurmd"], [], Path("/image"))
    assert repositories.asked == [True, True]


@pytest.mark.parametrize(("fresh", "hours", "asks"), [(False, 1, False), (False, 25, True), (True, 1, True)])
def test_package_lists_are_fetched_once_a_day_or_when_asked_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fresh: bool, hours: int, asks: bool
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    source = image.Source("http://deb.example.org", "bookworm", "main")
    monkeypatch.setattr(image, "sources", lambda: (source,))
    asked: list[str] = []
    monkeypatch.setattr(debian, "run", lambda argv, **_: asked.append(argv[-1]) or "")
    config = paths.cache() / "apt"
    config.mkdir(parents=True)
    (config / "sources.list").write_text(f"{source.line()}\n")
    (config / "updated").touch()
    then = time.time() - hours * 3600
    os.utime(config / "updated", (then, then))
    debian.download(["munge"], tmp_path, print, fresh=fresh)
    assert ("update" in asked) is asks


@pytest.mark.parametrize("fresh", [False, True])
def test_the_index_of_wheels_is_asked_anew_too(monkeypatch: pytest.MonkeyPatch, fresh: bool) -> None:
    asked: list[list[str]] = []
    monkeypatch.setattr(wheels, "run", lambda argv, **_: asked.append(argv) or "")
    wheels.download(["uv"], print, fresh=fresh)
    assert ("--refresh" in asked[0]) is fresh


def test_the_command_asks_anew_and_prints_the_folder(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    seen: list[Any] = []

    def ensure(*arguments: Any, refresh: bool) -> Path:
        seen.append(refresh)
        return Path("/cache/mirrors/x-1")

    monkeypatch.setattr(artifacts, "ensure", ensure)
    monkeypatch.setattr(image, "ensure", lambda report: Path("/image"))
    assert command.artifacts("falcon", list=False, refresh=True) == 0
    assert capsys.readouterr().out == "/cache/mirrors/x-1\n"
    assert seen == [True]
    with pytest.raises(CommandError, match="leave one of them out"):
        command.artifacts("falcon", list=True, refresh=True)
