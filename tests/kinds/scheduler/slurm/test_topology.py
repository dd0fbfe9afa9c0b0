"""The fabric as Slurm sees it: every node under a switch, one switch on top, names that Slurm takes."""

from __future__ import annotations

import re

import pytest
import yaml
from pydantic import ValidationError

from platform_iac.fabric.model import Fabric
from platform_iac.kinds.scheduler.slurm import topology
from platform_iac.kinds.scheduler.slurm.checks import checks
from platform_iac.kinds.scheduler.slurm.plan import plan
from platform_iac.kinds.scheduler.slurm.spec import Spec
from platform_iac.plan.context import Context, PlanError
from platform_iac.plan.make import make
from platform_iac.plan.model import Check, Run
from platform_iac.spec.hostlist import expand
from platform_iac.spec.load import loads
from tests.fabric.handmade import fabric
from tests.kinds.scheduler.slurm.specs import METAL, TWIN

LARGE = METAL.replace('"gpu[001-031]"', '"gpu[0001-2048]"').replace("10.20.1.1,", "10.20.64.1,")


def planned(text: str, wired: Fabric | None, **changed: object) -> tuple[Spec, Context, dict[str, Run]]:
    """The scheduler, the context with this fabric, and Slurm's runs by name."""
    spec = loads(text)
    scheduler = Spec.model_validate({**spec.scheduler.model_dump(), **changed})
    context = Context(spec, make(spec).hosts, wired)
    return scheduler, context, {run.name: run for run in plan("scheduler", scheduler, context).runs}


def texts(run: Run) -> dict[str, str]:
    return {file.path: file.content for file in run.files}


def switches(text: str) -> dict[str, tuple[str, ...]]:
    """Children of each switch of topology.conf, hosts and switches alike."""
    found = re.findall(r"^SwitchName=(\S+) (?:Nodes|Switches)=(\S+)$", text, re.MULTILINE)
    assert len(found) == len({name for name, _ in found}), "a switch is described once"
    return {name: expand(children) for name, children in found}


def under(name: str, tree: dict[str, tuple[str, ...]]) -> list[str]:
    """Hosts below a switch, however deep."""
    return [host for child in tree[name] for host in (under(child, tree) if child in tree else [child])]


@pytest.mark.parametrize(
    ("text", "wired"),
    [
        (TWIN, fabric("gpu[01-03]", unit=2)),
        (METAL, fabric("gpu[001-031]")),
        (LARGE, fabric("gpu[0001-2048]", pods=2)),
    ],
    ids=["twin", "31 nodes", "2,048 nodes, three tiers"],
)
def test_every_node_is_under_one_switch_and_one_switch_is_above_all(text: str, wired: Fabric) -> None:
    _, context, runs = planned(text, wired)
    tree = switches(texts(runs["slurm_controller"])["/etc/slurm/topology.conf"])
    tops = tree.keys() - {child for children in tree.values() for child in children}
    assert tops == {"fabric"}
    assert sorted(under("fabric", tree)) == sorted(host.name for host in context.with_duty("compute"))
    assert all(len(name) <= 64 and len(name) - len(name.rstrip("0123456789")) <= 18 for name in tree)


def test_one_rail_makes_the_tree() -> None:
    _, _, runs = planned(TWIN, fabric("gpu[01-03]", unit=2))
    assert texts(runs["slurm_controller"])["/etc/slurm/topology.conf"] == (
        "# Rendered from the platform's fabric. A host has one place, that of its first rail.\n"
        "SwitchName=leaf-01-1 Nodes=gpu[01-02]\n"
        "SwitchName=leaf-02-1 Nodes=gpu03\n"
        "SwitchName=fabric Switches=leaf-01-1,leaf-02-1\n"
    )


def test_pods_are_the_middle_of_three_tiers() -> None:
    _, _, runs = planned(LARGE, fabric("gpu[0001-2048]", pods=2))
    tree = switches(texts(runs["slurm_controller"])["/etc/slurm/topology.conf"])
    assert tree["fabric"] == ("pod-01", "pod-02", "outside")
    assert len(tree["pod-01"]) == 32
    assert tree["leaf-01-1"] == tuple(f"gpu{number:04}" for number in range(1, 33))


def test_hosts_on_no_fabric_hang_on_a_leaf_of_their_own() -> None:
    _, context, runs = planned(METAL, fabric("gpu[001-031]"))
    tree = switches(texts(runs["slurm_controller"])["/etc/slurm/topology.conf"])
    assert set(tree["outside"]) == {"old01", "old02", "cpu01", "cpu02", "cpu03", "cpu04"}
    assert topology.addresses(context)["cpu01"] == "fabric.outside.cpu01"


def test_controllers_and_logins_have_one_text_and_restart_on_it() -> None:
    _, _, runs = planned(METAL, fabric("gpu[001-031]"))
    path = "/etc/slurm/topology.conf"
    assert texts(runs["slurm_login"])[path] == texts(runs["slurm_controller"])[path]
    assert path in runs["slurm_controller"].units[0].restart_on
    assert "\nTopologyPlugin=topology/tree\n" in texts(runs["slurm_controller"])["/etc/slurm/slurm.conf"]


def test_nodes_restart_when_the_plugin_changes_and_not_when_a_cable_does() -> None:
    options = "/etc/default/slurmd"
    none, one, two = (
        texts(planned(TWIN, wired)[2]["slurm_node"])[options]
        for wired in (None, fabric("gpu[01-03]", unit=2), fabric("gpu[01-03]", unit=1))
    )
    assert none != one
    assert one == two


@pytest.mark.parametrize("wired", [None, fabric("gpu[01-03]")], ids=["no fabric", "not wanted"])
def test_without_a_topology_nothing_speaks_of_one(wired: Fabric | None) -> None:
    scheduler, context, runs = planned(TWIN, wired, topology="none" if wired else "auto")
    assert not [path for path in texts(runs["slurm_controller"]) if "topology" in path]
    assert "Topology" not in texts(runs["slurm_controller"])["/etc/slurm/slurm.conf"]
    assert not [check.name for check in checks("scheduler", scheduler, context) if "fabric" in check.name]


def test_a_version_that_reads_yaml_gets_yaml() -> None:
    _, _, runs = planned(TWIN, fabric("gpu[01-03]", unit=2), version="25.05")
    found = texts(runs["slurm_controller"])
    assert "/etc/slurm/topology.conf" not in found
    assert "TopologyPlugin" not in found["/etc/slurm/slurm.conf"]
    assert yaml.safe_load(found["/etc/slurm/topology.yaml"]) == [
        {
            "topology": "tree",
            "cluster_default": True,
            "tree": {
                "switches": [
                    {"switch": "leaf-01-1", "nodes": "gpu[01-02]"},
                    {"switch": "leaf-02-1", "nodes": "gpu03"},
                    {"switch": "fabric", "children": "leaf-01-1,leaf-02-1"},
                ]
            },
        }
    ]


def alone(text: str) -> str:
    """The spec with no compute hosts beside the fabric's."""
    kept = [line for line in text.splitlines() if not line.lstrip().startswith(("a100:", "cpu:", "prep:"))]
    return "\n".join(kept).replace("[h100, a100]", "[h100]")


def test_blocks_are_units_and_their_sizes_follow_the_smallest() -> None:
    _, _, runs = planned(alone(METAL), fabric("gpu[001-031]", unit=8), topology="block", version="24.05")
    found = texts(runs["slurm_controller"])["/etc/slurm/topology.conf"]
    assert "BlockName=unit-01 Nodes=gpu[001-008]\n" in found
    assert "BlockName=unit-04 Nodes=gpu[025-031]\n" in found
    assert found.endswith("BlockSizes=7\n")


def test_a_pod_of_blocks_is_a_larger_block() -> None:
    wired = fabric("gpu[0001-2048]", pods=2)
    _, _, runs = planned(alone(LARGE), wired, topology="block", version="25.05")
    (found,) = yaml.safe_load(texts(runs["slurm_controller"])["/etc/slurm/topology.yaml"])
    assert found["block"]["block_sizes"] == [32, 1024]
    assert len(found["block"]["blocks"]) == 64


@pytest.mark.parametrize(
    ("text", "wired", "changed", "error", "message"),
    [
        (TWIN, fabric("gpu[01-03]"), {"topology": "block"}, ValidationError, "needs Slurm 24.05, `version` is 22.05"),
        (TWIN, None, {"topology": "tree"}, PlanError, "describes a fabric — add `fabric`"),
        (METAL, fabric("gpu[001-031]"), {"topology": "block", "version": "24.05"}, PlanError, "are in no block"),
    ],
)
def test_what_does_not_fit_is_refused(
    text: str, wired: Fabric | None, changed: dict[str, object], error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message):
        planned(text, wired, **changed)


def proofs(text: str, wired: Fabric) -> list[Check]:
    scheduler, context, _ = planned(text, wired)
    return [check for check in checks("scheduler", scheduler, context) if "fabric" in check.name]


def test_the_proof_looks_at_the_top_and_at_a_job_on_the_farthest_two() -> None:
    top, job = proofs(TWIN, fabric("gpu[01-03]", unit=2))
    said = "SwitchName=fabric Level=1 LinkSpeed=1 Nodes=gpu[01-03] Switches=leaf-01-1,leaf-02-1\n"
    assert re.search(top.expect, said, re.MULTILINE)
    assert not re.search(top.expect, said.replace("[01-03]", "[01-02]"), re.MULTILINE)
    assert "--nodelist=gpu01,gpu03" in job.argv
    told = ["fabric.leaf-02-1.gpu03\n", "fabric.leaf-01-1.gpu01\n"]
    assert re.search(job.expect, "".join(told), re.MULTILINE)
    assert not re.search(job.expect, told[0] * 2, re.MULTILINE)
    assert not re.search(job.expect, "gpu01\ngpu03\n", re.MULTILINE)
