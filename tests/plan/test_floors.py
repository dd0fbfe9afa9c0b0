"""The oldest releases, and that what the plan installs knows them."""

from __future__ import annotations

import pytest

from platform_iac.plan import floors
from platform_iac.plan.make import make
from platform_iac.plan.resources import declared
from platform_iac.spec.load import load


def test_every_floor_says_what_older_ones_lack() -> None:
    for ecosystem in ("debian", "python"):
        for name, floor in floors.floors(ecosystem).items():
            assert floor.because, name
            assert floor.packages, name


def test_a_package_has_the_floor_of_its_source() -> None:
    assert floors.debian("munge") == {"munge": "0.5.15-2+deb12u1"}
    assert floors.debian("slurmd") == {"slurmd": "22.05.8-4+deb12u3"}
    assert floors.python("mlflow") == (3, 16, 1)
    with pytest.raises(KeyError):
        floors.debian("nginx-light")


def test_what_is_declared_of_a_plan_has_no_secret_and_no_door() -> None:
    found = list(declared(make(load("lab"))))
    assert {each.type for each in found} == {"platform:secret:Key", "platform:ansible:Role"}
    assert len({(each.type, each.name) for each in found}) == len(found)
    roles = [each for each in found if each.type == "platform:ansible:Role"]
    assert all(
        {"role", "site", "files", "hosts", "packages", "units", "users", "vars"} == each.inputs.keys() for each in roles
    )
