"""What every part of the spec is made of: a strict, frozen model whose fields say what changing them does."""

from __future__ import annotations

from typing import Any, Final, Literal, get_args

from pydantic import BaseModel, ConfigDict, Field

Impact = Literal["none", "reconfigure", "restart", "drain", "reimage", "replace", "forbidden"]

IMPACTS: Final[tuple[Impact, ...]] = get_args(Impact)
"""From harmless to impossible.

none: nothing on any host changes. reconfigure: files change, running jobs do not notice. restart:
a service restarts. drain: jobs must leave the host first. reimage: the host is installed anew.
replace: it is another machine or another data set. forbidden: make a new platform instead.
"""

REQUIRED: Final[Any] = ...


class Model(BaseModel):
    """A part of the spec: unknown keys are refused and a value never changes once it is made.

    Specs are read strictly (`"5"` is no number, `yes` is no truth), and their lists are tuples:
    annotate `tuple[X, ...]`, never `list[X]`.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, validate_default=True, allow_inf_nan=False)

    @property
    def holds_state(self) -> bool:
        """Whether data goes where this part goes: a kind says so where what it manages stays without it."""
        return True


def setting(default: Any = REQUIRED, *, impact: Impact, description: str, **constraints: Any) -> Any:
    """Return a field of a `Model` that says what changing it does to a running platform.

    `constraints` are pydantic's (`ge`, `max_length`, `default_factory`, …). Without `default` and
    `default_factory` the field is required. `description` is one sentence for the editor.
    """
    if "default_factory" not in constraints:
        constraints["default"] = default
    return Field(description=description, json_schema_extra={"x-impact": impact}, **constraints)


def worst(impacts: list[Impact]) -> Impact:
    """Return the gravest of several impacts; of none, `none`."""
    return max(impacts, key=IMPACTS.index, default="none")
