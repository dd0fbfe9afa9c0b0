import shutil
import threading
from pathlib import Path

import pytest

from platform_iac.lab import paths
from platform_iac.lab.paths import LabError


@pytest.mark.parametrize("name", ["", "-a", "a-", "A", "a/b", "..", "a b", "a" * 33, "a;b", "\u0430"])
def test_a_name_that_is_no_label_is_refused(name: str) -> None:
    with pytest.raises(LabError, match="is no name"):
        paths.lab(name)


def test_folders_follow_the_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    assert paths.machine("x", "a") == tmp_path / "state/platform-iac/labs/x/machines/a"
    assert paths.cache() == tmp_path / "cache/platform-iac"


def test_a_lock_holds_even_when_its_file_is_removed_meanwhile(tmp_path: Path) -> None:
    lock, inside, order = tmp_path / "lock", threading.Event(), list[str]()

    def second() -> None:
        inside.wait(5)
        with paths.locked(lock):
            order.append("second")

    thread = threading.Thread(target=second)
    thread.start()
    with paths.locked(lock):
        inside.set()
        thread.join(0.2)
        lock.unlink()
        order.append("first")
    thread.join(5)
    assert order == ["first", "second"]
    assert lock.exists()


def test_a_written_file_has_its_mode_and_leaves_nothing_beside_it(tmp_path: Path) -> None:
    paths.write(tmp_path / "key", "text", 0o600)
    assert (tmp_path / "key").stat().st_mode & 0o777 == 0o600
    assert [path.name for path in tmp_path.iterdir()] == ["key"]


def test_a_lab_is_forgotten_only_when_nothing_is_left_in_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    folder = paths.private_dir(paths.lab("x") / "machines")
    (folder / ".a.lock").touch()
    kept = paths.lab("x") / "network.json"
    kept.touch()
    paths.forget("x")
    assert kept.exists()
    kept.unlink()
    paths.forget("x")
    assert not paths.lab("x").exists()


def test_a_lab_s_folder_stays_while_a_machine_is_in_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    root = paths.machine("x", "gpu01") / "root"
    root.mkdir(parents=True)
    paths.forget("x")
    assert root.exists()
    shutil.rmtree(root.parent)
    (root.parent.parent / ".gpu01.lock").touch()
    paths.forget("x")
    assert not paths.lab("x").exists()
