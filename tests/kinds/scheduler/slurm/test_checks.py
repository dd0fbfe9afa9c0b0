"""The proof of Slurm: its expressions accept what Slurm says and nothing else."""

from __future__ import annotations

import re

import pytest

from platform_iac.plan.model import Check
from tests.kinds.scheduler.slurm.specs import METAL, TWIN, plan


def check(text: str, name: str) -> Check:
    return next(check for check in plan(text).checks if name in check.name)


@pytest.mark.parametrize(
    ("said", "passes"),
    [
        ("idle gpu:h100:8\n", True),
        ("idle gpu:h100:8(S:0-1)\nmixed gpu:h100:8\n", True),
        ("idle gpu:h100:8\ndrained gpu:h100:8\n", False),
        ("maint gpu:h100:8\nidle gpu:h100:8\n", True),
        ("idle* gpu:h100:8\n", False),
        ("maint* gpu:h100:8\n", False),
        ("idle gpu:h100:4\n", False),
        ("idle (null)\n", False),
        ("", False),
    ],
)
def test_every_node_must_take_jobs_with_its_gpus(said: str, passes: bool) -> None:
    expect = check(TWIN, "take jobs").expect
    assert bool(re.search(expect, said, re.MULTILINE)) == passes


def test_nodes_without_gpus_show_none() -> None:
    assert re.search(check(METAL, "cpu[01-04] take jobs").expect, "idle (null)\n", re.MULTILINE)


def test_a_job_asks_for_a_typed_gpu_on_each_kind_of_node() -> None:
    jobs = [check for check in plan(METAL).checks if check.name.startswith("a job on")]
    assert [next(word for word in job.argv if "gres" in word) for job in jobs] == [
        "--gres=gpu:h100:1",
        "--gres=gpu:a100:1",
    ]
    assert re.search(jobs[0].expect, "   Nodes=gpu001 CPU_IDs=0 Mem=1 GRES=gpu:h100:1(IDX:0)")
    assert not re.search(jobs[0].expect, "   Nodes=gpu001 CPU_IDs=0 Mem=1 GRES=gpu:a100:1(IDX:0)")


def test_shares_and_limits_are_looked_up_team_by_team() -> None:
    assert re.search(check(TWIN, "team vision").expect, "vision|60|gres/gpu=8\n", re.MULTILINE)
    assert not re.search(check(TWIN, "team vision").expect, "vision|60|\n", re.MULTILINE)
    assert re.search(check(TWIN, "team language").expect, "language|40|\n", re.MULTILINE)
