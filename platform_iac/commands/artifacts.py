"""`platform-iac artifacts`: what a stack's hosts install, as the content of a mirror."""

from __future__ import annotations

import sys

from platform_iac.commands import layout
from platform_iac.commands.errors import CommandError
from platform_iac.plan.make import make
from platform_iac.spec.load import load


def artifacts(stack: str, *, list: bool, refresh: bool) -> int:  # noqa: A002  the option's name
    """List the packages, or build the mirror's content in the cache and print its folder.

    Raises:
        CommandError: both are asked for.
    """
    if list and refresh:
        raise CommandError("--refresh makes a mirror, and --list makes none — leave one of them out")
    plan = make(load(stack))
    if list:
        print(layout.table("Debian packages", [(name,) for name in plan.packages]), end="")
        print(layout.table("Python packages", [(requirement,) for requirement in plan.pip]), end="")
        return 0
    from platform_iac.lab import artifacts as mirror
    from platform_iac.lab import image

    def report(line: str) -> None:
        print(line, file=sys.stderr, flush=True)

    print(mirror.ensure(plan.packages, plan.pip, image.ensure(report), report, refresh=refresh))
    return 0
