"""Floors of a storage become what is measured."""

from __future__ import annotations

import pytest
from pydantic import ValidationError

from platform_iac.checks.storage_profiles import PROFILES
from platform_iac.kinds.storage._floors import Floors, stores
from platform_iac.plan.context import Context
from platform_iac.plan.make import make
from platform_iac.spec.load import load

SPEC = load("lab")
CONTEXT = Context(SPEC, make(SPEC).hosts)


def test_only_what_the_spec_sets_is_a_floor() -> None:
    (store,) = stores("home", Floors(read_mib_per_node=500, seconds=5), "/home/{user}", CONTEXT)
    assert store.floors == {"read_mib_per_node": 500}
    assert (store.nodes, store.seconds) == (3, 5), "the lab has three compute hosts"


def test_without_floors_nothing_is_measured_and_with_none_set_nothing_is_judged() -> None:
    assert stores("home", None, "/home/{user}", CONTEXT) == ()
    (store,) = stores("home", Floors(), "/home/{user}", CONTEXT)
    assert store.floors == {}


def test_every_figure_has_its_two_floors() -> None:
    figures = {profile.figure for profile in PROFILES}
    named = set(Floors.model_fields) - {"nodes", "size_mib", "seconds"}
    assert named == figures | {f"{figure}_per_node" for figure in figures}


def test_a_floor_of_nothing_is_refused() -> None:
    with pytest.raises(ValidationError, match="greater than or equal to 1"):
        Floors.model_validate({"read_mib": 0})
