"""What a spec of Slurm may say, and how it is refused."""

from __future__ import annotations

import pytest
from pydantic import ValidationError

from platform_iac.kinds.scheduler.slurm import Spec
from platform_iac.plan.context import PlanError
from platform_iac.plan.make import make
from platform_iac.spec.load import loads
from tests.kinds.scheduler.slurm.specs import METAL, TWIN

PARTITION = {"pools": ["gpu"], "default": True}


def test_the_smallest_spec_names_one_partition() -> None:
    spec = Spec.model_validate({"kind": "slurm", "partitions": {"gpu": PARTITION}})
    assert spec.default_qos in spec.qos


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"partitions": {"a": {"pools": ["gpu"]}}}, "found none — mark exactly one"),
        ({"partitions": {"a": PARTITION, "b": PARTITION}}, "found a, b — mark exactly one"),
        ({"partitions": {}}, "at least 1 item"),
        ({"partitions": {"a": {**PARTITION, "pools": []}}}, "at least 1 item"),
        ({"partitions": {"a": {**PARTITION, "max_time": "01:00:00", "default_time": "02:00:00"}}}, "is longer than"),
        ({"partitions": {"a b": PARTITION}}, "is no name"),
        ({"partitions": {"default": PARTITION}}, "`default` is no partition to Slurm"),
        ({"default_qos": "fast"}, "default_qos `fast` is not in `qos`"),
        ({"qos": {"normal": {"preempts": ["normal"]}}}, "cannot preempt `normal`"),
        ({"qos": {"normal": {"preempts": ["low"]}}}, "cannot preempt `low`"),
        ({"health": {"interval_seconds": 1}}, "greater than or equal to 10"),
    ],
)
def test_what_does_not_fit_is_refused(change: dict[str, object], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        Spec.model_validate({"kind": "slurm", "partitions": {"gpu": PARTITION}, **change})


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("pools: [gpu]", "pools: [gpu, login]", "pool `login` has `duty: login`"),
        ("duty: controller", "duty: services", "needs a host with `duty: controller`"),
        ("hosts: ctl01", 'hosts: "ctl[01-02]"', "two controllers share their state"),
        ("memory_gib: 4}", "memory_gib: 1}", "leaves nothing"),
    ],
)
def test_what_fits_no_platform_is_told_with_what_to_change(old: str, new: str, message: str) -> None:
    changed = TWIN.replace("login01, addresses: 10.77.0.12", "login01, addresses: 10.77.0.15")
    with pytest.raises(PlanError, match=message):
        make(loads(changed.replace(old, new)))


def test_a_compute_pool_in_no_partition_is_told() -> None:
    with pytest.raises(PlanError, match="compute pools are in no partition: cpu"):
        make(loads(METAL.replace("pools: [cpu]", "pools: [h100]")))


def test_a_name_that_accounting_cannot_make_tables_of_is_refused() -> None:
    with pytest.raises(PlanError, match="has 41 characters, and a cluster of Slurm's accounting has up to 40"):
        make(loads(METAL.replace("name: falcon", f"name: {'f' * 41}")))
