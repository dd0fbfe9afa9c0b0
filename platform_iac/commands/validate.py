"""`platform-iac validate`: is this spec one that can be built?"""

from __future__ import annotations

from platform_iac.commands import door
from platform_iac.commands.errors import CommandError
from platform_iac.plan.make import make
from platform_iac.spec.load import load, locate


def validate(stack: str) -> int:
    """Load and plan the spec; errors are raised, all of a stage at once. Files beside it are read too.

    Raises:
        CommandError: a host that is there already has no host key, or the stack follows itself.
    """
    spec = load(stack)
    plan = make(spec)
    door.known(stack, plan)
    if spec.promotion and spec.promotion.after:
        if locate(spec.promotion.after).resolve() == locate(stack).resolve():
            raise CommandError(f"`promotion.after` of {stack} names itself — name the stack below it")
        load(spec.promotion.after)
    print(f"{plan.name}: {len(plan.hosts)} hosts, {len(plan.runs)} role runs, {len(plan.checks)} checks")
    return 0
