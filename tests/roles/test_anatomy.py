"""Every role has the same anatomy: four moments and a typed interface that is exactly what it uses."""

from __future__ import annotations

import re
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

from platform_iac.commands.ansible import common_vars, host_vars
from platform_iac.plan.make import make
from platform_iac.plan.model import Run
from platform_iac.spec.load import load, stacks

ROLES = Path(__file__).resolve().parents[2] / "roles"
NAMES = sorted(path.parent.name for path in ROLES.glob("*/tasks"))
MOMENTS = ("install", "configure", "verify", "teardown")


def read(path: Path) -> Any:
    return YAML(typ="safe", pure=True).load(path)


def options(role: str) -> dict[str, Any]:
    return dict(read(ROLES / role / "meta" / "argument_specs.yml")["argument_specs"]["main"]["options"])


def used(role: str) -> set[str]:
    """Names with the role's prefix in its tasks, without those that the role itself sets."""
    text = "\n".join(path.read_text() for path in sorted((ROLES / role / "tasks").glob("*.yml")))
    text = re.sub(r"^\s*(#.*|\w+:)$", "", text, flags=re.MULTILINE)  # remarks, and modules of the role's own
    own = set(re.findall(r"register: (\w+)", text))
    constants = ROLES / role / "vars" / "main.yml"
    own |= set(read(constants)) if constants.exists() else set()
    return {name for name in re.findall(rf"\b{role}_\w+", text) if name not in own and not _is_longer_role(name, role)}


def _is_longer_role(name: str, role: str) -> bool:
    """`slurm_node_packages` belongs to the role `slurm_node`, not to a role `slurm`."""
    return any(name.startswith(f"{other}_") for other in NAMES if other.startswith(f"{role}_"))


@cache
def runs() -> tuple[Run, ...]:
    return tuple(run for stack in stacks() for run in make(load(stack)).runs)


@pytest.mark.parametrize("role", NAMES)
def test_a_role_has_its_four_moments_and_a_table_of_contents(role: str) -> None:
    tasks = ROLES / role / "tasks"
    assert {f"{moment}.yml" for moment in (*MOMENTS, "main")} <= {path.name for path in tasks.iterdir()}
    imported = [task["ansible.builtin.import_tasks"] for task in read(tasks / "main.yml")]
    assert imported == ["install.yml", "configure.yml", "verify.yml"]
    assert read(tasks / "teardown.yml"), "teardown takes away what the role brought"


@pytest.mark.parametrize("role", NAMES)
def test_the_interface_of_a_role_is_exactly_what_it_uses(role: str) -> None:
    assert options(role).keys() == used(role)


@pytest.mark.parametrize("role", NAMES)
def test_every_argument_says_its_type_and_what_it_is_for(role: str) -> None:
    for name, option in options(role).items():
        assert option.get("type"), name
        assert option.get("description"), name
        assert option.get("required") or "default" in option, f"{name} is neither required nor has a default"


@pytest.mark.parametrize("role", NAMES)
def test_defaults_are_those_that_the_interface_promises(role: str) -> None:
    path = ROLES / role / "defaults" / "main.yml"
    promised = {name: option["default"] for name, option in options(role).items() if "default" in option}
    assert (read(path) or {}) == promised


@pytest.mark.parametrize("role", NAMES)
def test_every_run_of_a_role_speaks_its_interface(role: str) -> None:
    known = options(role)
    required = {name for name, option in known.items() if option.get("required")}
    for run in (run for run in runs() if run.role == role):
        common = common_vars(run).keys()
        for host in run.hosts:
            given = common | host_vars(run, host).keys()
            assert given <= known.keys(), f"{run.name} on {host}"
            assert required <= given, f"{run.name} on {host}"


@pytest.mark.parametrize("role", NAMES)
def test_every_role_is_run_by_some_stack(role: str) -> None:
    assert any(run.role == role for run in runs())


@pytest.mark.parametrize("role", NAMES)
def test_every_role_has_a_test_on_machines(role: str) -> None:
    # The acceptance names the run; runs bear the name of their role, or begin with it.
    tests = "\n".join(path.read_text() for path in sorted(Path(__file__).parent.rglob("test_*.py")))
    names = {run.name for run in runs() if run.role == role}
    assert any(re.search(rf"(accept\(|STAGES = ).*\"{name}\"", tests) for name in names), (
        f"no accept(…) for any of {sorted(names)}"
    )


@pytest.mark.parametrize("role", NAMES)
def test_shared_modules_do_the_loops_when_a_role_is_applied(role: str) -> None:
    # One task per item costs a round trip each, on every host; verify and teardown loop over a few things at most.
    for moment in ("install", "configure"):
        text = (ROLES / role / "tasks" / f"{moment}.yml").read_text()
        assert not re.search(r"^\s*(loop|with_\w+):", text, re.MULTILINE), moment


@pytest.mark.parametrize("role", NAMES)
def test_no_failure_is_ignored(role: str) -> None:
    for path in sorted((ROLES / role / "tasks").glob("*.yml")):
        assert not re.search(r"ignore_errors|failed_when: false|\|\| *true", path.read_text()), path.name
