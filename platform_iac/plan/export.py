"""The plan as JSON: sorted keys, the same bytes for the same spec."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import fields, is_dataclass
from typing import TYPE_CHECKING, Any

from pydantic import BaseModel

if TYPE_CHECKING:
    from platform_iac.plan.model import File, Plan, Unit, User


def value(thing: Any) -> Any:
    """Return a part of a plan as plain JSON values.

    Raises:
        TypeError: a kind put something into the plan that JSON has no word for.
    """
    if is_dataclass(thing) and not isinstance(thing, type):
        return {field.name: value(getattr(thing, field.name)) for field in fields(thing)}
    if isinstance(thing, BaseModel):
        return thing.model_dump(mode="json")
    if isinstance(thing, Mapping):
        return {str(key): value(thing[key]) for key in sorted(thing, key=str)}
    if isinstance(thing, list | tuple):
        return [value(item) for item in thing]
    if thing is None or isinstance(thing, str | int | float | bool):
        return thing
    raise TypeError(f"{type(thing).__name__} cannot be part of a plan: {thing!r}")


def named(things: Iterable[File | Unit | User], *, by: str = "name") -> dict[str, Any]:
    """Return files, units or users as roles take them: what each is, by its name (a file's is its path)."""
    found = [value(thing) for thing in things]
    return {each[by]: {key: content for key, content in each.items() if key != by} for each in found}


def text(plan: Plan) -> str:
    """Return the whole plan as indented JSON with a final newline."""
    return json.dumps(value(plan), indent=2, sort_keys=True, ensure_ascii=False) + "\n"
