"""What the platform costs to buy, at the prices of its spec. What it costs by the hour in a cloud is `aws-cost`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from policies.rule import Rule
from policies.values import UnjudgedError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from policies.rule import Context
    from policies.target import Stack


def _capital(stack: Stack, context: Context) -> Iterator[str]:
    del stack
    ceiling, facts = context.settings["ceiling"], context.facts
    if not ceiling:
        return  # nobody set one
    if facts.capital is None:
        raise UnjudgedError("the spec states no `prices`")
    if facts.capital > ceiling:
        yield f"hosts and fabric cost {facts.capital:,} {facts.currency}, the ceiling is {ceiling:,}"
    if facts.unpriced:
        raise UnjudgedError(f"the spec states no price of {', '.join(facts.unpriced)}")


RULES = (
    Rule(
        id="cost-capital",
        why="A number in a pull request is an order for hardware when it is merged.",
        do="Take hosts away, or raise `ceiling` (0: none) with the budget; what one costs is in `prices` of the spec.",
        settings={"ceiling": 0},
        whole=_capital,
    ),
)
