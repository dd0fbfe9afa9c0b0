"""What a resource type has to answer. The service knows the wire, handlers know their resource."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol

Values = dict[str, Any]
Severity = Literal["debug", "info", "warning", "error", "status"]
"""`status` is a passing line beside the resource; the others stay in the log."""


@dataclass(frozen=True, slots=True)
class Failure:
    """An input that cannot be. `property` is a path such as `vars.driver`, or empty."""

    property: str
    reason: str


@dataclass(frozen=True, slots=True)
class Change:
    """One property that differs. With `recorded` it is an output, else an input."""

    kind: Literal["add", "delete", "update"]
    recorded: bool = False


@dataclass(frozen=True, slots=True)
class Diff:
    """What an update would change: property paths in Pulumi's syntax, and which force a replacement."""

    changes: Mapping[str, Change] = field(default_factory=dict)
    replaces: tuple[str, ...] = ()
    delete_first: bool = True


@dataclass(slots=True)
class Context:
    """One request: whose it is, whether it is a preview, where to report, and whether to stop."""

    urn: str = ""
    preview: bool = False
    config: Mapping[str, Any] = field(default_factory=dict)
    log: Callable[[Severity, str], None] = lambda _severity, _text: None
    cancelled: threading.Event = field(default_factory=threading.Event)

    def asked(self, name: str) -> bool:
        """Whether the provider's configuration sets `name` to true."""
        return str(self.config.get(name, "")).lower() == "true"


class PartialFailure(Exception):  # noqa: N818  the name says what it is for the reader: some of it is done
    """The resource exists, but not all of it was done. The engine stores it and the next `up` goes on."""

    def __init__(self, id: str, outputs: Values, reasons: list[str]) -> None:
        super().__init__("; ".join(reasons))
        self.id = id
        self.outputs = outputs
        self.reasons = reasons


class HandlerError(Exception):
    """The request cannot be done and nothing was. The message is for the user and holds no secret."""


class Handler(Protocol):
    """The life of one resource type. Values are plain JSON, with `UNKNOWN` in previews."""

    token: str
    secret_outputs: frozenset[str]

    def check(self, olds: Values, news: Values) -> tuple[Values, list[Failure]]:
        """Return the inputs with defaults filled in, and what is wrong with them."""

    def diff(self, id: str, old_inputs: Values, old_outputs: Values, news: Values) -> Diff:
        """Compare without touching anything outside."""

    def create(self, inputs: Values, ctx: Context) -> tuple[str, Values]:
        """Make the resource and return its id and outputs; in a preview say what they would be."""

    def read(self, id: str, inputs: Values, outputs: Values, ctx: Context) -> tuple[Values, Values] | None:
        """Return inputs and outputs as they are, None where the resource is gone."""

    def update(self, id: str, old_inputs: Values, old_outputs: Values, news: Values, ctx: Context) -> Values:
        """Bring the resource to `news` and return its outputs."""

    def delete(self, id: str, inputs: Values, outputs: Values, ctx: Context) -> None:
        """Remove the resource; one that is gone already is fine."""
