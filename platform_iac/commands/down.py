"""`platform-iac down`: `pulumi destroy`, and the stack's own record with it."""

from __future__ import annotations

from platform_iac.commands import state
from platform_iac.commands.pulumi import EngineError, pulumi, select
from platform_iac.lab import whole
from platform_iac.lab.paths import lab_of
from platform_iac.plan.make import make
from platform_iac.spec.load import load


def down(stack: str) -> int:
    """Remove everything that the stack made; a stack that is not there is fine.

    Raises:
        EngineError: the state is refused, or something could not be removed; what is left is still recorded.
        LabError: something of a twin survives.
    """
    plan = make(load(stack))
    select(stack)
    state.guard(stack)
    if pulumi("destroy", "--yes", "--skip-preview", "--stack", stack) != 0:
        raise EngineError("pulumi destroy did not finish — see the message above, then run this again")
    state.keep(stack)  # what comes after it may begin with nothing
    for site in plan.sites:
        if site.kind == "lab":
            whole.remove(lab_of(plan.name, site.name))  # a killed run may have made what its record does not know
    if pulumi("stack", "rm", "--yes", "--preserve-config", "--stack", stack) != 0:
        raise EngineError(f"the stack {stack} could not be removed — see the message above")
    return 0
