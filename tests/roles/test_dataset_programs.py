"""The programs of role datasets without machines: manifests, what is found by hand, what stays, what is judged."""

from __future__ import annotations

import importlib
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest

PROGRAMS = Path(__file__).resolve().parents[2] / "roles" / "datasets" / "templates"
NAMES = ("files", "moves", "retrain")


@pytest.fixture(scope="module")
def programs() -> Iterator[SimpleNamespace]:
    """The modules as they find each other on a host: in one folder."""
    sys.path.insert(0, str(PROGRAMS))
    try:
        yield SimpleNamespace(**{name: importlib.import_module(name) for name in NAMES})
    finally:
        sys.path.remove(str(PROGRAMS))
        for name in NAMES:
            sys.modules.pop(name, None)


@pytest.fixture
def folder(programs: SimpleNamespace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.setattr(os, "chown", lambda *_: None)  # root's on hosts
    made = programs.files.Folder(tmp_path / "vision" / "digits")
    made.path.parent.mkdir()
    made.make()
    return made


def publish(programs: SimpleNamespace, folder: Any, version: str, **contents: str) -> str:
    incoming: Path = folder.at(programs.files.INCOMING, version)
    for name, content in contents.items():
        path = incoming / name.replace("__", "/")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content)
    text = str(programs.files.manifest(incoming))
    folder.publish(version, text)
    return text


def test_a_manifest_is_what_sha256sum_reads(programs: SimpleNamespace, folder: Any) -> None:
    publish(programs, folder, "1", b="two", a__deep="one")
    checked = subprocess.run(
        ["sha256sum", "--check", "--strict", "../1.sha256"],
        cwd=folder.at("1"),
        capture_output=True,
        text=True,
        check=False,
    )
    assert checked.stdout.splitlines() == ["a/deep: OK", "b: OK"]
    assert folder.differs("1") == {}


def test_a_version_is_read_only_and_current_only_once_it_is_whole(programs: SimpleNamespace, folder: Any) -> None:
    assert folder.current() == ""
    publish(programs, folder, "1", a="one")
    assert folder.at("1", "a").stat().st_mode & 0o777 == 0o444
    assert folder.at("1").stat().st_mode & 0o777 == 0o555
    assert folder.point("1")
    assert not folder.point("1")
    assert (folder.at("current") / "a").read_text() == "one"


def edit(path: Path) -> None:
    """Change a byte and set the file's times back, as somebody would who hides it."""
    before = path.stat()
    path.chmod(0o644)
    path.write_text("ona")
    path.chmod(0o444)
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))


@pytest.mark.parametrize(
    ("break_it", "says"),
    [
        (lambda at: edit(at("1", "a")), {"a": "has other content"}),
        (lambda at: at("1", "a").unlink(), {"a": "is missing"}),
        (lambda at: at("1", "b").write_text("new"), {"b": "is not in its manifest"}),
        (lambda at: at("1", "a").chmod(0o644), {"a": "can be written"}),
    ],
)
def test_what_is_changed_by_hand_is_found_without_reading_everything(
    programs: SimpleNamespace, folder: Any, break_it: Any, says: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    publish(programs, folder, "1", a="one", c="untouched")
    assert folder.differs("1") == {}
    folder.at("1").chmod(0o755)
    break_it(folder.at)
    read: list[str] = []
    digest = programs.files.digest
    monkeypatch.setattr(programs.files, "digest", lambda path: read.append(path.name) or digest(path))
    assert folder.differs("1") == says
    assert "c" not in read
    assert folder.differs("1") == says, "found once, found again"


def test_every_byte_means_every_file(programs: SimpleNamespace, folder: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    publish(programs, folder, "1", a="one", b="two")
    assert folder.differs("1") == {}
    monkeypatch.setattr(programs.files, "digest", lambda path: "rotten")
    assert folder.differs("1") == {}
    both = {"a": "has other content", "b": "has other content"}
    assert folder.differs("1", every_byte=True) == both
    assert folder.differs("1") == both


@pytest.mark.parametrize(
    ("count", "kept", "current", "gone"),
    [
        (1, set(), "4", ["3", "2", "1"]),
        (2, set(), "4", ["2", "1"]),
        (2, {"1"}, "4", ["2"]),
        (1, set(), "2", ["4", "3", "1"]),
        (9, set(), "4", []),
        (1, {"3", "nothing"}, "4", ["2", "1"]),
    ],
)
def test_old_versions_go_but_never_the_current_one_or_one_in_use(
    programs: SimpleNamespace, folder: Any, count: int, kept: set[str], current: str, gone: list[str]
) -> None:
    for version in "1234":
        publish(programs, folder, version, a=version)
        os.utime(folder.beside(version), (int(version), int(version)))
    folder.point(current)
    assert folder.retain(count, kept) == gone
    assert sorted(folder.versions()) == sorted(set("1234") - set(gone))
    assert not [name for name in gone if folder.at(name).exists() or folder.beside(name).exists()]


@pytest.mark.parametrize("what", ["link", "pipe", "name"])
def test_what_no_manifest_can_hold_is_refused(programs: SimpleNamespace, tmp_path: Path, what: str) -> None:
    if what == "link":
        (tmp_path / "a").symlink_to("/etc/passwd")
    elif what == "pipe":
        os.mkfifo(tmp_path / "a")
    else:
        (tmp_path / "two\nlines").write_text("x")
    with pytest.raises(programs.files.RefusedError):
        programs.files.manifest(tmp_path)


STAND_IN = """#!/bin/sh
echo "$@" >> {folder}/asked
test -e {folder}/$1.out && cat {folder}/$1.out
test -e {folder}/$1.err && cat {folder}/$1.err >&2
test ! -e {folder}/$1.rc || exit $(cat {folder}/$1.rc)
"""


class Rclone:
    """A program that stands in for rclone: it answers each verb as told, and writes down what it was asked."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        program = folder / "rclone"
        program.write_text(STAND_IN.format(folder=folder))
        program.chmod(0o755)
        self.answer("size", out='{"count":1,"bytes":3}')

    def answer(self, verb: str, *, rc: int = 0, out: str = "", err: str = "") -> None:
        for what, text in (("rc", str(rc)), ("out", out), ("err", err)):
            (self.folder / f"{verb}.{what}").write_text(text)

    def asked(self, verb: str) -> list[list[str]]:
        lines = (self.folder / "asked").read_text().splitlines()
        return [line.split() for line in lines if line.startswith(f"{verb} ")]


@pytest.fixture
def rclone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Rclone:
    home = tmp_path / "bin"
    home.mkdir()
    monkeypatch.setenv("PATH", str(home), prepend=os.pathsep)
    monkeypatch.setenv("RUNTIME_DIRECTORY", str(home))
    return Rclone(home)


DECLARED = {
    "name": "digits", "version": "2", "source": "there:b/2", "manifests": "there:b", "only": [], "sha256": "",
    "size_bytes": 100, "bandwidth_mib": 3, "config": "/dev/null",
}  # fmt: skip


def fetch(programs: SimpleNamespace, folder: Any, **more: Any) -> str:
    incoming = folder.at(programs.files.INCOMING, "2")
    incoming.mkdir(exist_ok=True)
    (incoming / "a").write_text("one")
    return str(programs.moves.fetch({**DECLARED, **more}, folder))


def test_a_move_compares_both_sides_and_byte_by_byte_without_checksums(
    programs: SimpleNamespace, folder: Any, rclone: Rclone
) -> None:
    rclone.answer("check", err="NOTICE: local: 1 hashes could not be checked")
    assert fetch(programs, folder, only=["*.csv"]) == f"{programs.files.sha256('one')}  a\n"
    assert ["--download" in argv for argv in rclone.asked("check")] == [False, True]
    (moved,) = rclone.asked("sync")
    assert {"--checksum", "--bwlimit=3M", "--include=*.csv", "there:b/2"} <= set(moved)


def test_what_is_left_of_other_moves_goes(programs: SimpleNamespace, folder: Any, rclone: Rclone) -> None:
    left = folder.at(programs.files.INCOMING, "1")
    left.mkdir()
    fetch(programs, folder)
    assert not left.exists()


@pytest.mark.parametrize(
    ("answers", "more", "says"),
    [
        ({"size": {"out": '{"count":0,"bytes":0}'}}, {}, "has no files: is version 2 there"),
        ({"size": {"rc": 3, "err": "directory not found"}}, {}, "has no files: is version 2 there"),
        ({"size": {"out": '{"count":1,"bytes":101}'}}, {}, "raise size_gib"),
        ({}, {"sha256": "0" * 64}, "the spec says 0000"),
        ({"lsf": {"out": "2.sha256\n"}, "cat": {"out": "00  a\n"}}, {}, r"another one at its source \(a\)"),
    ],
)
def test_what_is_not_as_declared_is_refused(
    programs: SimpleNamespace, folder: Any, rclone: Rclone, answers: Any, more: Any, says: str
) -> None:
    for verb, answer in answers.items():
        rclone.answer(verb, **answer)
    with pytest.raises(programs.files.RefusedError, match=says):
        fetch(programs, folder, **more)


def linked(source: Path) -> None:
    """Make a source that has links to a file, to a folder, to nothing, and in a circle, and a pipe."""
    (source / "train").mkdir(parents=True)
    (source / "train" / "plain.csv").write_text("one")
    (source / "shelf").mkdir()
    (source / "shelf" / "far.csv").write_text("two")
    (source / "shelf" / "round").symlink_to(source)
    (source / "train" / "a.csv").symlink_to("plain.csv")
    (source / "train" / "gone.txt").symlink_to("nowhere")
    (source / "more").symlink_to("shelf")
    os.mkfifo(source / "pipe.log")


@pytest.mark.parametrize(
    ("only", "says"),
    [
        ([], "more"),
        (["*.csv"], "more"),
        (["/train/*.csv"], "train/a.csv"),
        (["train/a*"], "more"),  # as more/round/train/a.csv
        (["/train/*.txt"], "train/gone.txt"),
        (["/more/far.csv"], "more"),
        (["/m**.csv"], "more"),
        (["*.log"], "more"),
        (["/*.log"], "pipe.log"),
        (["/train/plain.csv"], ""),
        (["/*.csv"], ""),
        (["plain.tsv"], ""),
        (["/shelf/*.csv"], ""),
    ],
)
def test_a_folder_with_links_is_refused_before_anything_is_moved(
    programs: SimpleNamespace, folder: Any, rclone: Rclone, tmp_path: Path, only: list[str], says: str
) -> None:
    source = tmp_path / "source" / "2"
    linked(source)
    declared = {"source": str(source), "manifests": str(source.parent), "only": only}
    if not says:
        assert fetch(programs, folder, **declared)
        return
    with pytest.raises(programs.files.RefusedError, match=f"{source}/{says}' is neither a file nor a folder"):
        fetch(programs, folder, **declared)
    assert not (rclone.folder / "asked").exists()


def test_a_manifest_that_is_a_link_is_not_passed_over(
    programs: SimpleNamespace, folder: Any, rclone: Rclone, tmp_path: Path
) -> None:
    source = tmp_path / "source" / "2"
    source.mkdir(parents=True)
    declared = {"source": str(source), "manifests": str(source.parent)}
    assert fetch(programs, folder, **declared)
    (source.parent / "2.sha256").symlink_to("elsewhere")
    with pytest.raises(programs.files.RefusedError, match=r"2\.sha256' is neither a file"):
        fetch(programs, folder, **declared)


BROKEN = {"a": "has other content", "b": "is missing", "c": "can be written", "d": "is not in its manifest"}


def broken(programs: SimpleNamespace, folder: Any, *, source: str) -> None:
    """A version with one of everything that can differ, and what the source now has for it."""
    publish(programs, folder, "2", a="one", b="two", c="three")
    folder.at("2").chmod(0o755)
    edit(folder.at("2", "a"))
    folder.at("2", "b").unlink()
    folder.at("2", "c").chmod(0o666)
    folder.at("2", "d").write_text("four")
    assert folder.differs("2") == BROKEN
    incoming = folder.at(programs.files.INCOMING, "2")
    incoming.mkdir()
    (incoming / "a").write_text(source)
    (incoming / "b").write_text("two")


def test_only_what_differs_is_fetched_anew(programs: SimpleNamespace, folder: Any, rclone: Rclone) -> None:
    broken(programs, folder, source="one")
    programs.moves.mend(DECLARED, folder, BROKEN)
    assert folder.differs("2") == {}
    assert folder.at(programs.files.STATE, "wanted").read_text() == "a\nb\n"
    assert f"--files-from-raw={folder.at(programs.files.STATE, 'wanted')}" in rclone.asked("sync")[0]


def test_what_the_source_has_no_more_mends_nothing(programs: SimpleNamespace, folder: Any, rclone: Rclone) -> None:
    broken(programs, folder, source="another")
    with pytest.raises(programs.files.RefusedError, match="a is another one at its source"):
        programs.moves.mend(DECLARED, folder, BROKEN)
    assert folder.differs("2") == BROKEN


def test_a_copy_never_replaces_another_version_of_its_name(
    programs: SimpleNamespace, folder: Any, rclone: Rclone
) -> None:
    text = publish(programs, folder, "2", a="one")
    programs.moves.copy(DECLARED, folder, "there:b")
    assert [argv[-1] for argv in rclone.asked("copyto")] == ["there:b/2.sha256"]
    rclone.answer("lsf", out="2.sha256\n")
    rclone.answer("cat", out=text)
    programs.moves.copy(DECLARED, folder, "there:b")
    rclone.answer("cat", out="00  a\n")
    with pytest.raises(programs.files.RefusedError, match="there:b has another 2"):
        programs.moves.copy(DECLARED, folder, "there:b")


@pytest.mark.parametrize("verb", ["size", "sync", "check", "lsf"])
def test_what_may_go_well_another_time_is_no_refusal(
    programs: SimpleNamespace, folder: Any, rclone: Rclone, verb: str
) -> None:
    rclone.answer(verb, rc=1, err="no route to host")
    with pytest.raises(programs.files.DatasetError, match="no route") as found:
        fetch(programs, folder)
    assert not isinstance(found.value, programs.files.RefusedError)


RETRAIN = {"member": "alice", "script": "/s", "metric": "accuracy"}


def test_a_retraining_is_done_once_and_anew_when_its_declaration_or_its_data_changes(
    programs: SimpleNamespace, folder: Any
) -> None:
    declared = {**DECLARED, "retrain": RETRAIN}
    publish(programs, folder, "2", a="one")
    known = {"identity": programs.retrain.identity(declared, folder.text("2"), 0), "attempt": 0, "verdict": "passed"}
    folder.remember("retrain-2", known)
    assert programs.retrain.retrain(declared, folder) == known
    assert programs.retrain.outcome({**declared, "retrain": {**RETRAIN, "metric": "loss"}}, folder) == {}
    programs.retrain.again(declared, folder)
    assert "verdict" not in programs.retrain.outcome(declared, folder)
    other = programs.files.Folder(folder.path.parent / "other")
    other.make()
    publish(programs, other, "2", a="two")
    other.remember("retrain-2", known)
    assert programs.retrain.outcome(declared, other) == {}


def judged() -> ModuleType:
    """Return the module that speaks to MLflow, with a stand-in for its client."""
    stand_in = ModuleType("mlflow")
    stand_in.MlflowClient = object  # type: ignore[attr-defined]
    before = sys.modules.get("mlflow")
    sys.modules["mlflow"] = stand_in
    try:
        spec = importlib.util.spec_from_file_location("dataset_verdict", PROGRAMS / "verdict.py")
        assert spec
        assert spec.loader
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
    finally:
        if before is None:
            del sys.modules["mlflow"]
        else:
            sys.modules["mlflow"] = before
    return module


@pytest.mark.parametrize(
    ("value", "bounds", "state", "says"),
    [
        (0.95, {"at_least": 0.9}, "COMPLETED", ""),
        (0.9, {"at_least": 0.9}, "COMPLETED", ""),
        (0.89, {"at_least": 0.9}, "COMPLETED", "accuracy 0.89 is below 0.9"),
        (0.2, {"at_most": 0.1}, "COMPLETED", "accuracy 0.2 is above 0.1"),
        (float("nan"), {"at_least": 0.9}, "COMPLETED", "accuracy nan is below 0.9"),
        (float("nan"), {"at_most": 0.9}, "COMPLETED", "accuracy nan is above 0.9"),
        (None, {"at_least": 0.9}, "COMPLETED", "the run has no metric accuracy"),
        (0.95, {"at_least": 0.9}, "TIMEOUT", "job 7 ended as TIMEOUT"),
        (0.95, {"at_least": 0.9}, "FAILED", "job 7 ended as FAILED"),
    ],
)
def test_a_run_passes_only_by_its_metric_and_a_job_that_ended_well(
    value: float | None, bounds: dict[str, float], state: str, says: str
) -> None:
    about = {"job": "7", "state": state, "metric": "accuracy", "at_least": None, "at_most": None, **bounds}
    assert judged().judged(about, value) == says


def test_what_is_declared_reaches_no_shell(programs: SimpleNamespace, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[list[str]] = []

    def run(argv: list[str], **more: Any) -> subprocess.CompletedProcess[str]:
        assert not more.get("shell")
        asked.append(argv)
        return subprocess.CompletedProcess(argv, 0, json.dumps({}), "")

    monkeypatch.setattr(programs.retrain.subprocess, "run", run)
    programs.retrain._run(["env", "A=$(reboot); b'c", "sbatch", "/s p"], member="alice")
    # The one shell is the member's login shell: it gets one quoted command.
    assert asked[0][:4] == ["runuser", "-l", "alice", "-c"]
    import shlex

    assert shlex.split(asked[0][4]) == ["exec", "env", "A=$(reboot); b'c", "sbatch", "/s p"]
