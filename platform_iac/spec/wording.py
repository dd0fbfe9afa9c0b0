"""Say what pydantic found in the reader's words: what is wrong — what to do."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from platform_iac.spec.errors import Path, Problem
from platform_iac.spec.references import suggestion
from platform_iac.spec.walk import Shape, Tagged, follow

if TYPE_CHECKING:
    from pydantic import ValidationError
    from pydantic_core import ErrorDetails

    from platform_iac.spec.base import Model

_EXPECTED = {
    "bool_type": ("true or false", "YAML 1.2 knows only `true` and `false`"),
    "int_type": ("a whole number", "write digits, without quotes or unit"),
    "int_from_float": ("a whole number", "drop the fraction"),
    "float_type": ("a number", "write digits, without quotes or unit"),
    "string_type": ("text", "put it in quotes"),
    "dict_type": ("a map", "write `key: value` lines"),
    "model_type": ("a map", "write `key: value` lines"),
    "model_attributes_type": ("a map", "write `key: value` lines"),
    "tagged_union_type": ("a map", "write `kind: …` and its options"),
    "list_type": ("a list", "put it in brackets: `[…]`"),
    "tuple_type": ("a list", "put it in brackets: `[…]`"),
}
_BOUNDS = {
    "greater_than_equal": "must be at least {ge}",
    "less_than_equal": "must be at most {le}",
    "greater_than": "must be more than {gt}",
    "less_than": "must be less than {lt}",
    "string_too_long": "has more than {max_length} characters",
    "string_too_short": "has fewer than {min_length} characters",
    "too_short": "must have {min_length} or more entries",
    "too_long": "must have {max_length} entries at most",
}


def problems(error: ValidationError, root: type[Model]) -> list[Problem]:
    """Return every error with the reader's path, still without a place in a file."""
    found = error.errors(include_url=False)
    # a list that is too short only because pydantic left out its wrong entries, reported by themselves
    inner = {details["loc"][:length] for details in found for length in range(len(details["loc"]))}
    return [_problem(one, root) for one in found if one["type"] != "too_short" or one["loc"] not in inner]


def _problem(details: ErrorDetails, root: type[Model]) -> Problem:
    place: Path = details["loc"]
    is_key = bool(place) and place[-1] == "[key]"
    path, here = follow(root, place[:-1] if is_key else place)
    _, above = follow(root, place[:-1])
    if details["type"] == "union_tag_invalid":
        return Problem(_message(details, path, here, above), (*path, "kind"))
    return Problem(_message(details, path, here, above), path)


def _message(details: ErrorDetails, path: Path, here: list[Shape], above: list[Shape]) -> str:
    kind, found, context = details["type"], details["input"], details.get("ctx", {})
    if kind == "extra_forbidden":
        message = _unknown_key(str(path[-1]), above)
    elif kind == "missing":
        message = f"this is missing — add it: {_description(above, str(path[-1]))}"
    elif kind in ("union_tag_not_found", "union_tag_invalid"):
        message = _which_kind(str(context["tag"]) if kind == "union_tag_invalid" else None, here)
    elif kind == "literal_error":
        message = _one_of(found, re.findall(r"'([^']*)'", context["expected"]))
    elif kind in _EXPECTED:
        expected, remedy = _EXPECTED[kind]
        if kind == "string_type" and isinstance(found, (dict, list, tuple)):
            remedy = "write one text instead"
        message = f"expected {expected}, found {show(found)} — {remedy}"
    elif kind in _BOUNDS:
        message = f"{show(found)} {_BOUNDS[kind].format(**context)} — change it"
    else:
        message = details["msg"].removeprefix("Value error, ")
    return message if " — " in message else f"{message} — change it"


def _unknown_key(key: str, above: list[Shape]) -> str:
    known = sorted({name for shape in above if isinstance(shape, type) for name in shape.model_fields})
    return f"there is no such key — {suggestion(key, known)}known here: {', '.join(known)}"


def _one_of(found: Any, allowed: list[str]) -> str:
    what = "there is no value" if found is None else f"{show(found)} is not allowed"
    hint = suggestion(found, allowed) if isinstance(found, str) else ""
    return f"{what} — {hint}write one of: {', '.join(allowed)}"


def _which_kind(tag: str | None, here: list[Shape]) -> str:
    tagged = [shape for shape in here if isinstance(shape, Tagged)]
    kinds = sorted({kind for shape in tagged for kind in shape.models})
    family = next((f" {shape.family}" for shape in tagged if shape.family), "")
    if tag is None:
        return f"`kind` is missing — write one of: {', '.join(kinds)}"
    return f"there is no{family} kind {tag[:60]!r} — {suggestion(tag, kinds)}there are: {', '.join(kinds)}"


def _description(shapes: list[Shape], name: str) -> str:
    for shape in shapes:
        if isinstance(shape, type) and name in shape.model_fields:
            return (shape.model_fields[name].description or name).rstrip(".")
    return name


def show(value: Any) -> str:
    """Return a value as an error names it: short, and with its type where that is the point."""
    if value is None:
        return "nothing"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, (dict, list, tuple)):
        return "a map" if isinstance(value, dict) else "a list"
    if isinstance(value, str):
        return f"the text {value[:60]!r}{'…' if len(value) > 60 else ''}"
    return f"the number {value}" if isinstance(value, (int, float)) else type(value).__name__
