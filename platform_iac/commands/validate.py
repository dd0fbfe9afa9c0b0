"""`platform-iac validate`: is this spec one that can be built?"""

from __future__ import annotations

from platform_iac.plan.make import make
from platform_iac.spec.load import load


def validate(stack: str) -> int:
    """Load and plan the spec; errors are raised, all of a stage at once."""
    plan = make(load(stack))
    print(f"{plan.name}: {len(plan.hosts)} hosts, {len(plan.runs)} role runs, {len(plan.checks)} checks")
    return 0
