"""A rule: an id, why it is there, what to do, and a function from a target to what is wrong with it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from policies.facts import Facts
    from policies.target import Stack, Target

Severity = Literal["mandatory", "advisory", "off"]


@dataclass(frozen=True, slots=True)
class Context:
    """What a rule may look at beside its target: the stack's settings for it, and what the spec says of hosts."""

    settings: Mapping[str, Any]
    facts: Facts


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """One rule. `on` are resource types, `roles` the Ansible roles among `platform:ansible:Role`; empty means all.

    A rule with `whole` judges all resources together, every other one a resource at a time, so that it stops that
    resource before it is made. `settings` are its numbers with their defaults, which a stack may change.
    """

    id: str
    severity: Severity = "mandatory"
    why: str
    do: str
    reference: str = ""
    on: tuple[str, ...] = ("platform:ansible:Role",)
    roles: tuple[str, ...] = ()
    settings: Mapping[str, Any] = field(default_factory=dict)
    each: Callable[[Target, Context], Iterator[str]] | None = None
    whole: Callable[[Stack, Context], Iterator[str]] | None = None

    def judges(self, target: Target) -> bool:
        """Whether the rule has something to say about this resource."""
        if not any(target.type == kind or (kind.endswith(":") and target.type.startswith(kind)) for kind in self.on):
            return False
        return not self.roles or target.role in self.roles

    @property
    def subject(self) -> str:
        """The module that the rule is in."""
        return self.id.partition("-")[0]
