from __future__ import annotations

import json
from typing import Any, get_origin

import pytest
from jsonschema import Draft202012Validator
from ruamel.yaml import YAML

from platform_iac.spec.base import IMPACTS, Model, worst
from platform_iac.spec.hardware import Hardware
from platform_iac.spec.load import STACKS
from platform_iac.spec.model import Platform
from platform_iac.spec.schema import texts
from platform_iac.spec.walk import models

MODELS = {model for root in (Platform, Hardware) for model in models(root)}


@pytest.mark.parametrize("model", sorted(MODELS, key=lambda model: (model.__module__, model.__name__)), ids=str)
def test_every_field_says_what_changing_it_does(model: type[Model]) -> None:
    for name, field in model.model_fields.items():
        extra = field.json_schema_extra
        assert isinstance(extra, dict), f"{model.__module__}.{name} is made without setting()"
        assert extra["x-impact"] in IMPACTS, f"{model.__module__}.{name}"
        assert field.description, f"{model.__module__}.{name}"


@pytest.mark.parametrize("model", sorted(MODELS, key=lambda model: (model.__module__, model.__name__)), ids=str)
def test_every_list_is_a_tuple_because_specs_are_read_strictly(model: type[Model]) -> None:
    assert [name for name, field in model.model_fields.items() if get_origin(field.annotation) in (list, set)] == []


def test_the_walk_finds_models_below_unions_maps_and_lists() -> None:
    names = {model.__name__ for model in MODELS}
    assert names >= {"Platform", "Pool", "Team", "Member", "Access", "Hardware", "Choice", "Gpu", "Dpu", "Nics"}


def test_the_worst_of_several_impacts_counts() -> None:
    assert worst(["none", "drain", "restart"]) == "drain"
    assert worst([]) == "none"


def test_the_committed_schema_is_current() -> None:
    for path, text in texts().items():
        assert path.read_text(encoding="utf-8") == text, "run: python -m platform_iac.spec.schema"


def test_the_schema_tells_editors_the_impact() -> None:
    schema = json.loads((STACKS / "platform.schema.json").read_text(encoding="utf-8"))
    assert schema["properties"]["name"]["x-impact"] == "forbidden"


SPECS = sorted(path.name for path in STACKS.glob("*.yaml") if not path.name.startswith("Pulumi."))


@pytest.mark.parametrize("spec", SPECS)
def test_every_spec_names_a_schema_that_accepts_it(spec: str) -> None:
    text = (STACKS / spec).read_text(encoding="utf-8")
    first = text.splitlines()[0]
    name = first.removeprefix("# yaml-language-server: $schema=")
    schema: dict[str, Any] = json.loads((STACKS / name).read_text(encoding="utf-8"))
    errors = list(Draft202012Validator(schema).iter_errors(YAML(typ="safe", pure=True).load(text)))
    assert [error.message for error in errors] == []


def test_the_schema_refuses_what_reading_refuses() -> None:
    schema = json.loads((STACKS / "platform.schema.json").read_text(encoding="utf-8"))
    good = YAML(typ="safe", pure=True).load((STACKS / "lab.yaml").read_text(encoding="utf-8"))
    for section, value in (("name", "Lab"), ("pools", {"a": {}}), ("colour", "red"), ("teams", {"a": {"share": 0}})):
        assert not Draft202012Validator(schema).is_valid(good | {section: value})
