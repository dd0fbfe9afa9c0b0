"""What changes from one spec to the next, and what that does to the running platform."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from platform_iac.spec.base import Impact, Model
from platform_iac.spec.errors import Path, dotted

if TYPE_CHECKING:
    from collections.abc import Iterator

    from platform_iac.spec.model import Platform


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

    A part that is added or removed as a whole is one change, with the impact of the field it is in.
    """
    return tuple(_models(old, new, ()))


def _models(old: Model, new: Model, path: Path) -> Iterator[Change]:
    for name, field in type(new).model_fields.items():
        extra = field.json_schema_extra
        impact = extra["x-impact"] if isinstance(extra, dict) else "forbidden"
        yield from _values(getattr(old, name), getattr(new, name), impact, (*path, name))


def _values(old: Any, new: Any, impact: Any, path: Path) -> Iterator[Change]:
    if isinstance(old, Model) and type(old) is type(new):
        yield from _models(old, new, path)
    elif isinstance(old, dict) and isinstance(new, dict):
        for key in [*old, *(key for key in new if key not in old)]:
            yield from _values(old.get(key), new.get(key), impact, (*path, key))
    elif old != new:
        yield Change(path, impact, old, new)
