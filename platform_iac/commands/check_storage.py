"""`platform-iac check storage`: how fast each storage is for jobs, against the floors of the spec."""

from __future__ import annotations

from platform_iac.commands import table
from platform_iac.commands.check import reach
from platform_iac.commands.errors import FAILED, CommandError
from platform_iac.plan.make import make
from platform_iac.spec.load import load


def check_storage(stack: str) -> int:
    """Measure, print figures by node and together; 1 when one is below its floor."""
    from platform_iac.checks import storage

    plan = make(load(stack))
    try:
        storage.wanted(plan)
        results = storage.run(plan, reach(stack, plan), lambda line: print(line, flush=True))
    except storage.StorageError as error:
        raise CommandError(str(error), status=FAILED) from error
    print("\n".join(table.storage(result) for result in results))
    return 0 if all(result.passed for result in results) else FAILED
