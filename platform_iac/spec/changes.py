"""What changes from one spec to the next, and what that does to the running platform."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, cast

from platform_iac.spec.base import Impact, Model, worst
from platform_iac.spec.errors import Path, dotted

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from pydantic.fields import FieldInfo

    from platform_iac.spec.model import Platform

REMOVED: Final[Mapping[tuple[str | int, int], Impact]] = {
    ("storage", 2): "replace",
    ("services", 2): "replace",
    ("scheduler", 1): "drain",
}
"""What it is at least to take out a part that holds data or jobs, by its section and how deep it is there."""


@dataclass(frozen=True, slots=True)
class Change:
    """One value that is another now. `before` or `after` is None where it was added or taken away."""

    path: Path
    impact: Impact
    before: Any
    after: Any

    def __str__(self) -> str:
        what = "added" if self.before is None else "removed" if self.after is None else "changed"
        return f"{dotted(self.path)} {what} ({self.impact})"


def changes(old: Platform, new: Platform) -> tuple[Change, ...]:
    """Return every difference in the order of the model's fields; equal specs have none.

    A part that is added or removed as a whole is one change, with the impact of the field it is in: `REMOVED` has where
    removing is worse. One of another kind is one change too, and no milder than its `kind` says.
    """
    return tuple(_models(old, new, ()))


def _models(old: Model, new: Model, path: Path) -> Iterator[Change]:
    for name, field in type(new).model_fields.items():
        yield from _values(getattr(old, name), getattr(new, name), _of_field(field), (*path, name))


def _values(old: Any, new: Any, impact: Impact, path: Path) -> Iterator[Change]:
    if isinstance(old, Model) and type(old) is type(new):
        yield from _models(old, new, path)
    elif isinstance(old, dict) and isinstance(new, dict):
        for key in [*old, *(key for key in new if key not in old)]:
            yield from _values(old.get(key), new.get(key), impact, (*path, key))
    elif old != new:
        yield Change(path, _of_whole(old, new, impact, path), old, new)


def _of_whole(old: Any, new: Any, impact: Impact, path: Path) -> Impact:
    """What it does that a value goes, comes or is another, in a field of this impact."""
    if isinstance(old, Model) and isinstance(new, Model):
        kinds = [type(part).model_fields.get("kind") for part in (old, new)]
        return worst([impact, *(_of_field(kind) for kind in kinds if kind)])
    if isinstance(old, Model) and new is None and old.holds_state:
        return worst([impact, REMOVED.get((path[0], len(path)), "none")])
    return impact


def _of_field(field: FieldInfo) -> Impact:
    extra = field.json_schema_extra
    return cast("Impact", extra["x-impact"]) if isinstance(extra, dict) else "forbidden"
