"""`platform-iac train`: the main job, on a platform that is up."""

from __future__ import annotations

from platform_iac.commands import table
from platform_iac.commands.check import reach
from platform_iac.commands.errors import FAILED, CommandError
from platform_iac.plan.make import make
from platform_iac.spec.load import load


def train(stack: str) -> int:
    """Submit the training job as a member of a team, follow it and print what came of it.

    Raises:
        CommandError: it did not do what it must, or this platform has no place for it.
    """
    from platform_iac.checks import training

    plan = make(load(stack))
    try:
        print(table.training(training.run(plan, reach(stack, plan), lambda line: print(line, flush=True))))
    except training.TrainingError as error:
        raise CommandError(str(error), status=FAILED) from error
    return 0
