"""Planning is pure: the same spec gives the same bytes, in any process, and mistakes are told in words."""

from __future__ import annotations

import dataclasses
import os
import re
import subprocess
import sys
import time
from collections.abc import Mapping
from typing import Any

import pytest

from platform_iac.plan import export
from platform_iac.plan.context import PlanError
from platform_iac.plan.make import make
from platform_iac.plan.model import Plan, Run
from platform_iac.spec.load import load, loads, stacks

LARGE = """
apiVersion: platform-iac/v1
name: large
sites: {dc1: {kind: onprem, domain: dc1.example.net, network: 10.0.0.0/16,
              access: {ssh_config: stacks/falcon.ssh_config, known_hosts: stacks/falcon.known_hosts}}}
pools:
  ctl: {site: dc1, duty: controller, hosts: ctl01, addresses: 10.0.0.11}
  login: {site: dc1, duty: login, hosts: login01, addresses: 10.0.0.12}
  gpu: {site: dc1, duty: compute, hosts: "gpu[0001-COUNT]", addresses: 10.0.8.1, hardware: dgx-h100}
scheduler: {kind: slurm, partitions: {gpu: {pools: [gpu], default: true}}}
teams: {vision: {members: {alice: {uid: 20001}}}}
"""


def large(count: int) -> Plan:
    return make(loads(LARGE.replace("COUNT", f"{count:04}")))


@pytest.mark.parametrize("stack", stacks())
def test_the_same_spec_gives_the_same_bytes_in_any_process(stack: str) -> None:
    program = (
        "import sys; from platform_iac.plan import export; from platform_iac.plan.make import make\n"
        "from platform_iac.spec.load import load\n"
        f"sys.stdout.write(export.text(make(load({stack!r}))))"
    )
    outputs = {
        subprocess.run(
            [sys.executable, "-c", program],
            env={**os.environ, "PYTHONHASHSEED": seed},
            capture_output=True,
            check=True,
            timeout=60,
        ).stdout
        for seed in ("1", "4711")
    }
    outputs.add(export.text(make(load(stack))).encode())
    assert len(outputs) == 1


@pytest.mark.parametrize("stack", stacks())
def test_runs_come_after_what_they_need(stack: str) -> None:
    done: set[str] = set()
    for run in make(load(stack)).runs:
        assert set(run.needs) <= done
        assert not set(run.after) & {later.name for later in make(load(stack)).runs} - done
        done.add(run.name)


@pytest.mark.parametrize("stack", stacks())
def test_every_name_in_a_plan_is_known_to_it(stack: str) -> None:
    plan = make(load(stack))
    hosts = {host.name for host in plan.hosts}
    secrets = {secret.name for secret in plan.secrets}
    for run in plan.runs:
        assert run.hosts
        assert set(run.hosts) <= hosts
        assert set(run.host_files) | set(run.host_vars) <= set(run.hosts)
        assert set(run.secrets) <= secrets
        for paths in (watched(run), {path for unit in run.units for path in unit.restart_on}):
            assert all(path.startswith("/") for path in paths)
    assert {check.host for check in plan.checks} | {point.host for point in plan.endpoints} <= hosts


@pytest.mark.parametrize("stack", stacks())
def test_no_two_roles_write_the_same_file_on_a_host(stack: str) -> None:
    plan = make(load(stack))
    for host in plan.hosts:
        owner: dict[str, str] = {}
        for run in plan.runs:
            if host.name in run.hosts:
                for path in {file.path for file in (*run.files, *run.host_files.get(host.name, ()))}:
                    assert owner.setdefault(path, run.name) == run.name, f"{path} on {host.name}"


@pytest.mark.parametrize("stack", stacks())
def test_secrets_are_placeholders_that_their_run_is_given(stack: str) -> None:
    for run in make(load(stack)).runs:
        texts = [file.content for file in (*run.files, *(file for own in run.host_files.values() for file in own))]
        asked = {name for text in texts for name in re.findall(r"@@secret/([A-Za-z0-9_.-]+)@@", text)}
        assert asked == set(run.secrets), run.name


def watched(run: Run) -> set[str]:
    return {path for unit in run.units for path in (*unit.restart_on, *unit.reload_on)}


@pytest.mark.parametrize("stack", stacks())
def test_units_watch_files_that_their_run_writes(stack: str) -> None:
    for run in make(load(stack)).runs:
        for host in run.hosts:
            written = {file.path for file in (*run.files, *run.host_files.get(host, ()))}
            anywhere = {file.path for own in run.host_files.values() for file in own}
            assert watched(run) <= written | anywhere, f"{run.name} on {host}"


def test_a_new_node_leaves_every_other_host_of_base_and_gpu_alone() -> None:
    few, more = large(4), large(5)
    for name in ("base", "gpu"):
        before, after = inputs(few, name), inputs(more, name)
        assert {host: after[host] for host in before} == before
        assert after.keys() - before.keys() == {"gpu0005"}


def inputs(plan: Plan, name: str) -> dict[str, Any]:
    """What each host of a run is given: everything common, and its own."""
    run = next(run for run in plan.runs if run.name == name)
    common = dataclasses.replace(run, hosts=(), host_files={}, host_vars={})
    return {
        host: export.value((common, run.host_files.get(host, ()), run.host_vars.get(host, {}))) for host in run.hosts
    }


def test_a_thousand_nodes_are_planned_in_seconds() -> None:
    # `make bench` measures; this bound, ten times what it takes, only catches a square where a line was.
    started = time.process_time()
    assert len(large(1024).hosts) == 1026
    assert time.process_time() - started < 10


def test_plans_hold_nothing_that_json_has_no_word_for() -> None:
    with pytest.raises(TypeError, match="set cannot be part of a plan"):
        export.value({"a": {1, 2}})


def test_a_run_that_needs_what_nobody_plans_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    import platform_iac.kinds.site.onprem as onprem

    plan = onprem.plan

    def needy(*arguments: Any) -> Any:
        part = plan(*arguments)
        return dataclasses.replace(part, runs=(*part.runs, Run(name="x", role="base", hosts=("ctl01",), needs=("y",))))

    monkeypatch.setattr(onprem, "plan", needy)
    with pytest.raises(PlanError, match="run `x` needs y, which nothing in this spec plans"):
        large(4)


def test_runs_that_wait_for_each_other_are_told(monkeypatch: pytest.MonkeyPatch) -> None:
    import platform_iac.kinds.site.onprem as onprem

    plan = onprem.plan

    def circular(*arguments: Any) -> Any:
        part = plan(*arguments)
        pair = (
            Run(name="x", role="base", hosts=("ctl01",), needs=("y",)),
            Run(name="y", role="base", hosts=("ctl01",), needs=("x",)),
        )
        return dataclasses.replace(part, runs=(*part.runs, *pair))

    monkeypatch.setattr(onprem, "plan", circular)
    with pytest.raises(PlanError, match="wait for each other"):
        large(4)


def test_a_run_can_say_what_comes_after_it(monkeypatch: pytest.MonkeyPatch) -> None:
    import platform_iac.kinds.site.onprem as onprem

    plan = onprem.plan

    def early(*arguments: Any) -> Any:
        part = plan(*arguments)
        first = Run(name="x", role="base", hosts=("ctl01",), needs=("base",), before=("munge", "nothing-of-this-name"))
        return dataclasses.replace(part, runs=(*part.runs, first))

    monkeypatch.setattr(onprem, "plan", early)
    runs = {run.name: run for run in large(4).runs}
    assert list(runs).index("x") < list(runs).index("munge")
    assert runs["munge"].after == ("x",)
    assert not any(run.before for run in runs.values())


def test_a_plan_cannot_be_changed() -> None:
    plan = make(load("lab"))
    with pytest.raises(dataclasses.FrozenInstanceError):
        plan.name = "other"  # type: ignore[misc]
    assert isinstance(plan.runs[0].vars, Mapping)
