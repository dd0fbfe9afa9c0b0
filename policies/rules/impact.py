"""What a change does to a running platform: more hosts than the stack allows need a named person's approval.

Judged where the spec before is known: `platform-iac policy STACK --base REF` (decision 0008).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

from platform_iac.spec.hostlist import compress
from policies.rule import Rule
from policies.values import UnjudgedError

if TYPE_CHECKING:
    from policies.facts import Facts
    from policies.rule import Context
    from policies.target import Stack


def _gate(impact: str) -> Callable[[Stack, Context], Iterator[str]]:
    def whole(stack: Stack, context: Context) -> Iterator[str]:
        del stack
        facts = context.facts
        if facts.approved:
            return
        if facts.untold:
            raise UnjudgedError(_unknown(facts))
        if facts.touched is None:
            return  # no spec before: nothing runs yet, or nobody asked with --base
        hosts = facts.touched.hosts[impact]
        if len(hosts) <= context.settings["hosts"]:
            return
        why = "; ".join(facts.touched.why[impact])
        yield (
            f"the change {facts.touched.digest} would {impact} {len(hosts)} hosts ({compress(hosts)}), "
            f"{context.settings['hosts']} are allowed: {why}"
        )

    return whole


def _forbidden(stack: Stack, context: Context) -> Iterator[str]:
    del stack
    facts = context.facts
    if facts.untold and not facts.approved:
        raise UnjudgedError(_unknown(facts))
    if facts.touched is not None and (why := facts.touched.why["forbidden"]):
        yield f"the running platform cannot follow: {'; '.join(why)}"


def _unknown(facts: Facts) -> str:
    return f"the change {facts.change}, which an approval in policies/approvals may let through: {facts.untold}"


_APPROVE = (
    'Split the change, or have it approved: `{"change": "<digest>", "by": "<name>", "why": "<reason>"}` '
    "in policies/approvals/<stack>.json."
)

RULES = (
    Rule(
        id="impact-drain",
        why="A drained host takes no jobs, and a queue notices when many are.",
        do=_APPROVE,
        settings={"hosts": 4},
        whole=_gate("drain"),
    ),
    Rule(
        id="impact-reimage",
        why="A reimaged host loses everything on its disks.",
        do=_APPROVE,
        settings={"hosts": 0},
        whole=_gate("reimage"),
    ),
    Rule(
        id="impact-replace",
        why="A replaced host is another machine, and replaced storage another data set.",
        do=_APPROVE,
        settings={"hosts": 0},
        whole=_gate("replace"),
    ),
    Rule(
        id="impact-forbidden",
        why="Accounts and files belong to a name or a number that must not change under them.",
        do="Take the change back, or make a new platform and move there.",
        whole=_forbidden,
    ),
)
