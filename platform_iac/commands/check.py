"""`platform-iac check`: the plan's checks against the running platform."""

from __future__ import annotations

from typing import TYPE_CHECKING

from platform_iac.commands import table
from platform_iac.commands.door import ssh_config
from platform_iac.commands.errors import FAILED
from platform_iac.plan.make import make
from platform_iac.spec.load import load

if TYPE_CHECKING:
    from platform_iac.checks.remote import Remote
    from platform_iac.plan.model import Plan


def check(stack: str) -> int:
    """Run every check and print the table; 1 when one failed."""
    from platform_iac.checks import run

    plan = make(load(stack))
    results = run.run(plan, reach(stack, plan))
    print(table.checks(results))
    return 0 if all(result.passed for result in results) else FAILED


def reach(stack: str, plan: Plan) -> Remote:
    """Return the way to the plan's hosts, by the configuration of the site that each is at."""
    from platform_iac.checks.remote import Remote

    configs = {site.name: str(ssh_config(stack, plan, site.name)) for site in plan.sites}
    first = min(configs)
    return Remote(configs[first], {host.name: configs[host.site] for host in plan.hosts if host.site != first})
