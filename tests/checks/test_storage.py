"""Figures of fio against floors, from a cluster that is made of answers."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import cast

import pytest

from platform_iac.checks import slurm_job, storage
from platform_iac.checks.remote import Done, Remote
from platform_iac.checks.storage_profiles import PROFILES
from platform_iac.commands import table
from platform_iac.plan.make import make
from platform_iac.plan.model import Plan, Store
from platform_iac.spec.load import load

STORE = Store(name="home", directory="/home/{user}", nodes=2, size_mib=64, seconds=5)


def terse(at: int, *values: int) -> str:
    """What is kept of a line of fio: its error, then total KiB, KiB/s, IOPS and milliseconds in each direction."""
    fields = ["0"] * 9
    fields[at : at + 4] = [str(value) for value in values]
    return ";".join(fields)


LINES = [
    f"result {node} {profile.figure} {terse(profile.at, total, rate, iops, ms)}"
    for profile in PROFILES
    for node, total, rate, iops, ms in (("gpu01", 65536, 32768, 900, 2000), ("gpu02", 65536, 16384, 700, 4000))
]


class Cluster:
    """Answers like a cluster whose job 7 completes and leaves these lines."""

    def __init__(self, lines: Sequence[str] = LINES) -> None:
        self.lines, self.script = list(lines), ""

    def __call__(
        self, host: str, argv: Sequence[str], *, user: str = "root", stdin: str = "", timeout_seconds: float = 60
    ) -> Done:
        if argv[0] == "sbatch":
            self.script = stdin
        answers = {
            "sbatch": "7\n",
            "sacct": "7|alice|vision|gpu|node=2|COMPLETED|00:00:40|gpu[01-02]\n",
            "scontrol": "gpu01\ngpu02\n",
            "cat": "\n".join(["a warning of something else", *self.lines]),
        }
        return Done(0, answers[argv[0]], "")


@pytest.fixture
def plan(monkeypatch: pytest.MonkeyPatch) -> Plan:
    monkeypatch.setattr(slurm_job, "POLL_SECONDS", 0)
    return replace(make(load("lab")), stores=(STORE,))


def run(plan: Plan, cluster: Cluster) -> storage.Result:
    (result,) = storage.run(plan, cast("Remote", cluster), lambda _: None)
    return result


def test_every_profile_has_a_figure_per_node_and_together(plan: Plan) -> None:
    result = run(plan, Cluster())
    figures = {figure.profile.figure: figure for figure in result.figures}
    assert list(figures) == ["write_mib", "read_mib", "read_iops", "write_iops", "creates"]
    assert figures["read_mib"].nodes == {"gpu01": 32, "gpu02": 16}
    assert figures["read_mib"].aggregate == 32, "128 MiB in the 4 s of the slower node"
    assert figures["read_iops"].nodes == {"gpu01": 900, "gpu02": 700}
    assert figures["read_iops"].aggregate == 8192
    assert result.passed


@pytest.mark.parametrize(
    ("floors", "misses"),
    [
        ({"read_mib_per_node": 16, "read_mib": 32}, []),
        ({"read_mib_per_node": 17}, ["gpu02 has 16 MiB/s of 17"]),
        ({"write_mib": 33}, ["together 32 MiB/s of 33"]),
        ({"creates_per_node": 701}, ["gpu02 has 700 files/s of 701"]),
    ],
)
def test_floors_are_compared_with_the_slowest_node_and_with_all(
    plan: Plan, floors: dict[str, float], misses: list[str]
) -> None:
    result = run(replace(plan, stores=(replace(STORE, floors=floors),)), Cluster())
    assert [miss for figure in result.figures for miss in figure.misses] == misses
    assert result.passed == (not misses)
    shown = table.storage(result)
    assert ("FAILED" in shown) == bool(misses)
    assert all(miss in shown for miss in misses)


def test_a_node_that_tells_nothing_is_no_success(plan: Plan) -> None:
    with pytest.raises(storage.StorageError, match="files made was told by gpu01 instead of 2 nodes"):
        run(plan, Cluster(LINES[:-1]))


def test_an_error_of_fio_is_no_figure(plan: Plan) -> None:
    broken = [*LINES[:-1], LINES[-1].replace("creates 0;", "creates 5;")]
    with pytest.raises(storage.StorageError, match="fio failed in files made on gpu02"):
        run(plan, Cluster(broken))


def test_a_stack_without_floors_says_what_to_set(plan: Plan) -> None:
    with pytest.raises(storage.StorageError, match=r"set `floors: \{\}` on one"):
        storage.run(replace(plan, stores=()), cast("Remote", Cluster()), lambda _: None)


def test_the_job_is_the_members_in_a_place_of_their_own(plan: Plan) -> None:
    cluster = Cluster()
    run(plan, cluster)
    assert 'top=/home/alice/.storage-check-"$SLURM_JOB_ID"\n' in cluster.script
    assert cluster.script.count("srun --kill-on-bad-exit=1") == len(PROFILES)
    assert "--direct=1" in cluster.script
    assert "--direct=0" in storage.script(replace(STORE, direct=False), "alice")


SRUN = """#!/bin/bash
# Stands in for Slurm: two tasks on this machine, one after the other.
while [[ $1 == --* ]]; do shift; done
for SLURM_PROCID in 0 1; do
  SLURM_PROCID=$SLURM_PROCID SLURM_NTASKS=2 SLURMD_NODENAME=gpu0$((SLURM_PROCID + 1)) "$@" || exit
done
"""

FIO = f"""#!/bin/bash
# Stands in for fio: leaves the file it would write, and tells which one it was given.
for word; do case $word in --directory=*) where=${{word#*=}} ;; --name=*) name=${{word#*=}} ;; esac; done
echo "$name ${{where##*/}} $*" >> "$FIO_LOG"
echo content > "$where/data"
echo '{";".join(["3", "fio-3.33", "job", *(str(field) for field in range(4, 131))])}'
"""


@pytest.mark.parametrize("shared", [True, False])
def test_the_script_runs_and_leaves_nothing(tmp_path: Path, *, shared: bool) -> None:
    """bash runs the real script; only Slurm and fio are doubles."""
    for name, text in (("srun", SRUN), ("fio", FIO)):
        (tmp_path / name).write_text(text)
        (tmp_path / name).chmod(0o755)
    home = tmp_path / "it's a home"
    home.mkdir()
    store = replace(STORE, directory=str(home), shared=shared)
    env = {**os.environ, "PATH": f"{tmp_path}:{os.environ['PATH']}", "SLURM_JOB_ID": "7", "FIO_LOG": f"{tmp_path}/log"}
    done = subprocess.run(
        ["bash", "-s"], input=storage.script(store, "alice"), capture_output=True, text=True, env=env, timeout=60,
        check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    for profile in PROFILES:
        found = storage.parse(done.stdout, profile.figure)
        assert set(found) == {"gpu01", "gpu02"}
        # Its manual counts from 1: 5 is the error, 6 to 9 are of reads, 47 to 50 of writes.
        assert set(found.values()) == {("5", "6", "7", "8", "9", "47", "48", "49", "50")}
    used = [line.split(" ", 2)[:2] for line in (tmp_path / "log").read_text().splitlines()]
    assert [where for name, where in used if name == "write_mib"] == ["0", "1"]
    assert [where for name, where in used if name == "read_mib"] == (["1", "0"] if shared else ["0", "1"])
    assert not list(home.iterdir())
