from __future__ import annotations

import os
import stat
import subprocess
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

TOP = Path(__file__).resolve().parents[2]


def sourced(home: Path, then: str, **extra: str) -> str:
    """Source tools/env.sh in a new bash with this home and return what `then` prints."""
    return ended(home, then, **extra).stdout.strip()


def ended(home: Path, then: str, **extra: str) -> subprocess.CompletedProcess[str]:
    """Source tools/env.sh in a new bash with this home, where it must succeed, and do `then`."""
    clean = {name: value for name, value in os.environ.items() if not name.startswith(("PULUMI_", "XDG_"))}
    return subprocess.run(
        ["bash", "-euc", f". {TOP}/tools/env.sh; {then}"],
        env={**clean, "HOME": str(home), "PATH": "/usr/sbin:/usr/bin:/sbin:/bin", **extra},
        check=True,
        capture_output=True,
        text=True,
        timeout=60,
    )


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_the_passphrase_is_random_and_private(tmp_path: Path) -> None:
    passphrase = Path(sourced(tmp_path, 'echo "$PULUMI_CONFIG_PASSPHRASE_FILE"'))
    other = Path(sourced(tmp_path / "other", 'echo "$PULUMI_CONFIG_PASSPHRASE_FILE"'))
    assert mode(passphrase) == 0o600
    assert mode(passphrase.parent) == 0o700
    assert len(passphrase.read_text()) > 40
    assert passphrase.read_text() != other.read_text()


def test_whoever_gets_a_passphrase_is_told_once_to_keep_a_copy(tmp_path: Path) -> None:
    path = tmp_path / ".local/state/platform-iac/passphrase"
    first = ended(tmp_path, "echo out")
    assert first.stderr == f"made the passphrase of your stacks, {path}: keep a copy elsewhere\n"
    assert first.stdout == "out\n"
    assert ended(tmp_path, "true").stderr == ""


def test_the_state_is_a_private_folder(tmp_path: Path) -> None:
    url = sourced(tmp_path, 'echo "$PULUMI_BACKEND_URL"')
    assert url == f"file://{tmp_path}/.local/state/platform-iac/pulumi"
    assert mode(Path(url.removeprefix("file://"))) == 0o700


def test_shells_that_source_it_at_once_agree_on_the_passphrase(tmp_path: Path) -> None:
    with ThreadPoolExecutor(8) as pool:
        done = list(pool.map(lambda _: ended(tmp_path, 'cat "$PULUMI_CONFIG_PASSPHRASE_FILE"'), range(8)))
    assert len({one.stdout for one in done}) == 1
    assert sum("keep a copy" in one.stderr for one in done) == 1, "the one that made it says so"
    assert [path.name for path in (tmp_path / ".local/state/platform-iac").glob("passphrase*")] == ["passphrase"]


def test_what_the_user_has_set_stays(tmp_path: Path) -> None:
    mine = {"PULUMI_BACKEND_URL": "s3://bucket", "PULUMI_CONFIG_PASSPHRASE": ""}
    shown = sourced(tmp_path, 'echo "$PULUMI_BACKEND_URL ${PULUMI_CONFIG_PASSPHRASE_FILE-none}"', **mine)
    assert shown == "s3://bucket none"
    assert not (tmp_path / ".local").exists()


def test_settings_that_break_the_engine_are_dropped(tmp_path: Path) -> None:
    bad = {"PULUMI_EXPERIMENTAL": "1", "PULUMI_OPTION_PARALLEL": "4"}
    assert sourced(tmp_path, 'echo "${PULUMI_EXPERIMENTAL-}${PULUMI_OPTION_PARALLEL-}"', **bad) == ""


def test_sourcing_twice_adds_to_the_path_once(tmp_path: Path) -> None:
    path = sourced(tmp_path, f'. {TOP}/tools/env.sh; echo "$PATH"').split(":")
    assert path.count(f"{TOP}/.venv/bin") == 1
    assert sum("platform-iac/tools" in part for part in path) <= 1


def own(folder: Path, version: str, *, host: bool = True) -> str:
    """Make a pulumi that says this version and return a PATH where it comes first."""
    folder.mkdir()
    (folder / "pulumi").write_text(f"#!/bin/sh\necho {version}\n")
    for name in ("pulumi-language-python", "pulumi-language-python-exec") if host else ():
        (folder / name).write_text("#!/bin/sh\n")
    for path in folder.iterdir():
        path.chmod(0o755)
    return f"{folder}:/usr/bin:/bin"


@pytest.mark.parametrize(
    ("version", "host", "used"),
    [
        ("v3.255.0", True, True),
        ("v3.300.1", True, True),
        ("v4.0.0", True, True),
        ("v3.254.9", True, False),
        ("v3.99.0", True, False),
        ("v3.300.1", False, False),
    ],
)
def test_a_pulumi_on_path_is_used_when_it_is_new_enough(tmp_path: Path, version: str, host: bool, used: bool) -> None:
    path = own(tmp_path / "own", version, host=host)
    shown = sourced(tmp_path, 'echo "$PATH"', PATH=path)
    assert ("platform-iac/tools" not in shown) is used
