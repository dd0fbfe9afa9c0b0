"""Every kind that is found has all of its parts. A new kind is covered by this test the moment its file exists."""

from __future__ import annotations

import inspect
from functools import cache
from pathlib import Path
from types import ModuleType
from typing import Any, get_args

import pytest

from platform_iac import kinds
from platform_iac.plan.make import make
from platform_iac.plan.model import Plan
from platform_iac.spec.base import IMPACTS, Model
from platform_iac.spec.load import load, stacks
from platform_iac.spec.model import Platform
from tests.plan import golden

TOP = Path(__file__).resolve().parents[2]
FOUND = [
    pytest.param(family, kind, module, id=f"{family}-{kind}")
    for family in kinds.FAMILIES
    for kind, module in kinds.family(family).items()
]


@cache
def golden_platforms() -> tuple[tuple[Platform, Plan], ...]:
    return tuple((spec, make(spec)) for stack in stacks() if golden.path(stack).exists() for spec in [load(stack)])


def used_in(spec: Platform, family: str, kind: str) -> list[tuple[str, Any]]:
    """The parts of a spec that are of this kind, by their name."""
    parts: dict[str, dict[str, Any]] = {
        "site": dict(spec.sites),
        "fabric": {"fabric": spec.fabric} if spec.fabric else {},
        "storage": dict(spec.storage),
        "scheduler": {"scheduler": spec.scheduler} if spec.scheduler else {},
        "service": dict(spec.services),
    }
    return [(name, part) for name, part in parts[family].items() if part.kind == kind]


@pytest.mark.parametrize(("family", "kind", "module"), FOUND)
def test_a_kind_has_spec_plan_and_checks(family: str, kind: str, module: ModuleType) -> None:
    assert issubclass(module.Spec, Model)
    assert get_args(module.Spec.model_fields["kind"].annotation) == (kind,), "its literal `kind` is its file's name"
    for part in ("plan", "checks"):
        assert list(inspect.signature(getattr(module, part)).parameters) == ["name", "spec", "context"]
    assert module.__doc__, "the first thing a reader sees"


@pytest.mark.parametrize(("family", "kind", "module"), FOUND)
def test_a_site_says_how_its_machines_come_to_be(family: str, kind: str, module: ModuleType) -> None:
    assert callable(getattr(module, "build", None)) or family != "site"


@pytest.mark.parametrize(("family", "kind", "module"), FOUND)
def test_every_field_says_what_it_is_and_what_changing_it_does(family: str, kind: str, module: ModuleType) -> None:
    def fields(model: type[Model], path: str, seen: set[type]) -> None:
        if model in seen:
            return
        seen.add(model)
        for name, field in model.model_fields.items():
            extra = field.json_schema_extra
            assert isinstance(extra, dict), f"{path}.{name} is not made by `setting`"
            assert extra["x-impact"] in IMPACTS, f"{path}.{name}"
            assert field.description, f"{path}.{name}"
            for inner in models(field.annotation):
                fields(inner, f"{path}.{name}", seen)

    fields(module.Spec, kind, set())


def models(annotation: Any) -> list[type[Model]]:
    """The models inside an annotation, however deep."""
    if isinstance(annotation, type) and issubclass(annotation, Model):
        return [annotation]
    return [model for part in get_args(annotation) for model in models(part)]


@pytest.mark.parametrize(("family", "kind", "module"), FOUND)
def test_a_kind_is_in_a_golden_plan_where_it_plans_and_checks(family: str, kind: str, module: ModuleType) -> None:
    cases = [(spec, plan) for spec, plan in golden_platforms() if used_in(spec, family, kind)]
    assert cases, f"no stack with a golden plan has `kind: {kind}` among its {family}s"
    assert any(plan.runs and plan.checks for _, plan in cases)


@pytest.mark.parametrize(("family", "kind", "module"), FOUND)
def test_a_kind_adds_checks_that_prove_it(family: str, kind: str, module: ModuleType) -> None:
    from platform_iac.plan.context import Context

    for spec, plan in golden_platforms():
        for name, part in used_in(spec, family, kind):
            assert module.checks(name, part, Context(spec, plan.hosts)), f"{name} in {spec.name} has no check"


@pytest.mark.parametrize(("family", "kind", "module"), FOUND)
def test_every_role_that_a_kind_runs_is_there_with_an_argument_spec(family: str, kind: str, module: ModuleType) -> None:
    from platform_iac.plan.context import Context

    for spec, plan in golden_platforms():
        for name, part in used_in(spec, family, kind):
            for run in module.plan(name, part, Context(spec, plan.hosts)).runs:
                assert (TOP / "roles" / run.role / "meta" / "argument_specs.yml").is_file(), run.role


@pytest.mark.parametrize(("family", "kind", "module"), FOUND)
def test_a_kind_has_tests_of_its_own(family: str, kind: str, module: ModuleType) -> None:
    folder = TOP / "tests" / "kinds" / family
    assert list(folder.glob(f"test_{kind}*.py")) or list((folder / kind).glob("test_*.py")), f"none in {folder}"


def test_an_unknown_kind_is_told_with_those_there_are() -> None:
    with pytest.raises(kinds.UnknownKindError, match="no site of kind 'moon'; there are: lab, onprem"):
        kinds.find("site", "moon")
