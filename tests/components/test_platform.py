"""What the component tells the engine about a role's resource."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pulumi
import pytest

from platform_iac.components import platform
from platform_iac.components.reach import Reach
from platform_iac.plan.make import make
from platform_iac.spec.load import load


def test_the_engine_knows_the_names_that_a_role_had(monkeypatch: pytest.MonkeyPatch) -> None:
    made: dict[str, pulumi.ResourceOptions] = {}
    monkeypatch.setattr(platform, "Role", lambda name, _inputs, *, opts: made.__setitem__(name, opts))
    plan = make(load("falcon"))
    reach = {"dc1": Reach(ssh_config="/c")}
    component: Any = SimpleNamespace(_plan=plan, _reach=reach, _inputs=lambda *_: {})
    run = next(run for run in plan.runs if run.name == "base")
    platform.Platform._role(component, "base", run, "dc1", [])
    (alias,) = made["base"].aliases or ()
    assert isinstance(alias, pulumi.Alias)
    assert alias.name == "base@dc1"
