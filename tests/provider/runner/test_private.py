"""Private folders: who may enter, and that nothing stays behind."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from platform_iac.provider.runner import private


@pytest.fixture(autouse=True)
def base(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "piac"
    monkeypatch.setattr(private, "base", lambda: folder)
    monkeypatch.setattr(private, "_own", [])
    return folder


def test_a_run_s_folder_is_private_and_goes_away_with_its_processes() -> None:
    with private.run_folder() as folder:
        assert folder.stat().st_mode & 0o777 == 0o700
        process = subprocess.Popen(["sleep", "60"], env={private.MARK: str(folder)}, start_new_session=True)
    assert process.wait(10) == -9
    assert not folder.exists()


def test_a_connection_that_ssh_keeps_open_outlives_the_run_and_not_the_provider() -> None:
    with private.run_folder() as folder:
        environment = {private.MARK: str(folder), "PATH": os.environ["PATH"]}
        master = subprocess.Popen(["ssh: s/1 [mux]", "-c", "sleep 60 & wait"], executable="/bin/sh", env=environment)
        children = Path(f"/proc/{master.pid}/task/{master.pid}/children")
        while not children.read_text():
            assert master.poll() is None
    (child,) = children.read_text().split()
    while Path(f"/proc/{child}/comm").read_text() != "sleep\n":  # within an exec a process has no environment
        time.sleep(0.01)
    assert master.poll() is None
    private.close()
    assert master.wait(10) == -9
    deadline = time.monotonic() + 10  # a kill is done when the process is next given time
    while Path(f"/proc/{child}/exe").exists():
        assert time.monotonic() < deadline, f"process {child} lives on"
        time.sleep(0.05)


def test_what_dead_providers_left_is_swept_and_the_living_are_left_alone(base: Path) -> None:
    base.mkdir(mode=0o700)
    living = base / f"{os.getppid()}-{private._started(os.getppid())}"
    dead, reused = base / "999999999-1", base / f"{os.getppid()}-1"
    for folder in (living, dead, reused):
        folder.mkdir()
    orphan = subprocess.Popen(["sleep", "60"], env={private.MARK: str(dead / "r-1")}, start_new_session=True)
    own = private.home()
    assert orphan.wait(10) == -9
    assert {folder.name for folder in base.iterdir()} == {living.name, own.name}
    private.close()
    assert not own.exists()


def test_a_folder_that_others_may_enter_is_refused(base: Path) -> None:
    base.mkdir()
    base.chmod(0o755)
    with pytest.raises(PermissionError, match="not a private folder"):
        private.home()


def test_secrets_are_in_no_file_and_gone_afterwards() -> None:
    with private.secret_file({"db": "canary"}) as path:
        read = [sys.executable, "-c", "import sys; print(open(sys.argv[1]).read())", path]
        done = subprocess.run(read, capture_output=True, text=True, check=True)
        assert json.loads(done.stdout) == {"db": "canary"}
        assert str(Path(path).readlink()).startswith("/memfd:")
    assert not Path(path).exists()
