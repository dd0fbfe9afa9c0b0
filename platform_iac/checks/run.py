"""Run a plan's checks against the platform, several at once."""

from __future__ import annotations

import re
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from platform_iac.checks.remote import Done, Remote
    from platform_iac.plan.model import Check, Plan

AT_ONCE = 8


@dataclass(frozen=True, slots=True)
class Result:
    """What came of one check. `reason` says why it failed and is empty where it passed."""

    check: Check
    passed: bool
    reason: str
    seconds: float


def run(plan: Plan, remote: Remote, progress: Callable[[Result], None] = lambda _: None) -> tuple[Result, ...]:
    """Return the result of every check of the plan, in the plan's order; no check stops another.

    `progress` hears of each as it ends, from several threads.
    """

    def one(check: Check) -> Result:
        result = judge(check, remote)
        progress(result)
        return result

    return _all(one, plan.checks)


def _all(one: Callable[[Check], Result], checks: Iterable[Check]) -> tuple[Result, ...]:
    with ThreadPoolExecutor(max_workers=AT_ONCE, thread_name_prefix="check") as pool:
        return tuple(pool.map(one, checks))


def judge(check: Check, remote: Remote) -> Result:
    """Run one check."""
    started = time.monotonic()
    try:
        reason = why_not(check, remote(check.host, check.argv, user=check.user, timeout_seconds=check.timeout_seconds))
    except OSError as error:  # no ssh on this machine
        reason = str(error)
    return Result(check, passed=not reason, reason=reason, seconds=time.monotonic() - started)


def why_not(check: Check, done: Done) -> str:
    """Return why this end of the command does not pass the check; empty where it does."""
    if done.rc != 0:
        return f"exit status {done.rc}: {done.said}"
    if re.search(check.expect, done.out, re.MULTILINE) is None:
        return f"expected /{check.expect}/ in: {done.out.strip()[-500:] or 'nothing'}"
    return ""
