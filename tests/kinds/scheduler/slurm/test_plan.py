"""Role runs of Slurm: what each host gets, and what a new node changes."""

from __future__ import annotations

import json

from platform_iac.plan.export import value
from platform_iac.plan.make import make
from platform_iac.plan.model import Run
from platform_iac.spec.load import loads
from tests.kinds.scheduler.slurm.specs import METAL, TWIN, file, plan, run

LARGER = TWIN.replace("gpu[01-03]", "gpu[01-04]")


def for_host(run: Run, host: str) -> tuple[object, ...]:
    """Everything that reaches one host."""
    return (
        run.packages,
        run.files,
        run.units,
        run.vars,
        run.host_files.get(host, ()),
        run.host_vars.get(host, {}),
    )


def test_runs_come_in_the_order_of_what_they_need() -> None:
    names = [run.name for run in plan(TWIN).runs]
    order = ["base", "munge", "slurm_database", "slurm_controller", "slurm_node"]
    assert sorted(order, key=names.index) == order
    assert names.index("gpu") < names.index("slurm_node")
    assert names.index("slurm_controller") < names.index("slurm_login")


def test_a_new_node_touches_itself_and_the_files_that_name_it() -> None:
    before, after = ({run.name: run for run in make(loads(text)).runs} for text in (TWIN, LARGER))
    touched = {
        (name, host)
        for name, run in after.items()
        for host in run.hosts
        if host not in before[name].hosts or for_host(run, host) != for_host(before[name], host)
    }
    new = {(name, "gpu04") for name in ("base", "gpu", "munge", "slurm_node")}
    assert touched == new | {("slurm_controller", "ctl01"), ("slurm_login", "login01")}


def test_only_the_lists_of_nodes_change_with_a_new_node() -> None:
    changed = [
        file.path
        for file, old in zip(run(LARGER, "slurm_controller").files, run(TWIN, "slurm_controller").files, strict=True)
        if file != old
    ]
    assert changed == ["/etc/slurm/gres.conf", "/etc/slurm/slurm.conf"]


def test_the_key_of_munge_is_a_placeholder_that_only_munge_reads() -> None:
    munge = run(TWIN, "munge")
    key = file(munge, "/etc/munge/munge.key")
    assert (key.content, key.mode, key.owner) == ("@@secret/munge.key@@", "0400", "munge")
    assert munge.secrets == ("munge.key",)
    assert [(secret.name, secret.length_bytes) for secret in plan(TWIN).secrets] == [("munge.key", 64)]
    assert set(munge.hosts) == {"ctl01", "login01", "gpu01", "gpu02", "gpu03"}


def test_no_password_is_anywhere() -> None:
    text = json.dumps(value(plan(METAL))).lower()
    assert "storagepass" not in text
    assert "identified by" not in text


def test_a_node_is_checked_against_the_spec() -> None:
    node = run(METAL, "slurm_node")
    data = json.loads(file(node, "/etc/platform-iac/node-health.json", "gpu001").content)
    assert data["gpus"] == [{"product": "NVIDIA H100 80GB HBM3", "count": 8}]
    assert data["xid"]["log"] is None, "hardware has a kernel log of its own"
    assert data["xid"].keys() == {"log", "reboot"}
    assert json.loads(file(node, "/etc/platform-iac/node-health.json", "cpu01").content)["gpus"] == []
    assert node.host_vars["gpu001"] == {"gres": "gpu:h100:8"}


def test_equal_nodes_share_one_file_in_memory() -> None:
    files = run(METAL, "slurm_node").host_files
    assert files["gpu001"][0] is files["gpu031"][0]


def test_nodes_know_both_controllers_and_nothing_of_each_other() -> None:
    node = run(METAL, "slurm_node")
    options = file(node, "/etc/default/slurmd").content
    assert '--conf-server 10.20.0.11:6817,10.20.0.12:6817"' in options
    assert not any("gpu0" in file.content for file in node.files)


def test_only_the_first_controller_declares_accounts() -> None:
    controller = run(METAL, "slurm_controller")
    assert controller.hosts == ("ctl01", "ctl02")
    assert set(controller.host_vars) == {"ctl01"}
    assert run(METAL, "slurm_database").hosts == ("ctl01",)
    declared = controller.host_vars["ctl01"]["accounts"]
    assert declared["accounts"] == {"vision": {"share": 30, "gpus": "gres/gpu=64", "users": ["alice"]}}
    assert declared["qos"]["urgent"]["max_tres_per_user"] == "gres/gpu=16"
