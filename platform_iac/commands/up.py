"""`platform-iac up`: the policies, `pulumi up`, then the proof that the platform does its job, then a summary."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from platform_iac.checks import run, training
from platform_iac.commands import door, policy, running, state, table
from platform_iac.commands.check import reach
from platform_iac.commands.errors import FAILED
from platform_iac.commands.pulumi import EngineError, select
from platform_iac.lab import guest
from platform_iac.plan.make import make
from platform_iac.spec.load import load

if TYPE_CHECKING:
    from collections.abc import Callable

    from platform_iac.checks.remote import Remote
    from platform_iac.plan.model import Plan


def up(stack: str) -> int:
    """Bring the stack up, check it, run its training job; 0 when all of it holds, 1 when a check fails.

    Before anything is touched, the policies judge the plan and what changes since the commit that runs; 1 where a
    mandatory rule refuses.

    Raises:
        EngineError: `pulumi up` did not finish, or this machine lacks what the stack's guests need.
    """
    started = time.monotonic()

    def say(line: str) -> None:
        print(f"[{time.monotonic() - started:4.0f} s] {line}", flush=True)

    plan = make(load(stack))
    door.known(stack, plan)
    if any(site.settings.get("guests") for site in plan.sites) and (why := guest.lacking()):
        raise EngineError(f"{why}; nothing was changed")
    base = running.commit(stack)
    judged = policy.of(stack, base=base)
    if judged.refused:
        print(policy.text(stack, judged), end="")
        say("refused by the policies; nothing was touched")
        return FAILED
    since = f"the change since {base[:12]} too" if base else "no change, as no commit is known to run"
    say(f"policies: {judged.judged} rules judged the plan, and {since}; none refuses")
    for used in judged.approved:
        say(f"the change {used.approval.change} was approved by {used.approval.by}: {used.approval.why}")
    select(stack)
    say(f"pulumi up: {len(plan.hosts)} hosts, {len(plan.runs)} role runs")
    if state.apply(stack) != 0:
        raise EngineError(
            "pulumi up did not finish; what is done is recorded — see the message above, then run this again"
        )
    say(f"{len(plan.checks)} checks against the running platform")
    hosts = reach(stack, plan)
    results = run.run(plan, hosts)
    print(table.checks(results))
    if not all(result.passed for result in results):
        return FAILED
    if {"slurm_controller", "mlflow"} <= {planned.role for planned in plan.runs} and not _trained(plan, hosts, say):
        return FAILED
    for endpoint in plan.endpoints:
        print(f"{endpoint.name}: `pulumi stack output endpoints --show-secrets --stack {stack}` says where and how")
    say("done")
    return 0


def _trained(plan: Plan, hosts: Remote, say: Callable[[str], None]) -> bool:
    """Run the training job; whether it did what it must, or this platform has no place for it."""
    if why := training.lacking(plan, hosts):
        say(f"no training job: {why}")
        return True
    say("a training job through Slurm, tracked in MLflow")
    try:
        print(table.training(training.run(plan, hosts, say)))
    except training.TrainingError as error:
        say(f"the training job failed: {error}")
        return False
    return True
