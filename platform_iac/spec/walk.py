"""Find fields of the spec's models by the places pydantic reports.

Pydantic's places hold the tags of unions (`sites.lab.<lab>.network`); a reader's path does not.
"""

from __future__ import annotations

from dataclasses import dataclass
from types import UnionType
from typing import TYPE_CHECKING, Annotated, Any, Literal, Union, get_args, get_origin

from platform_iac.spec.base import Model
from platform_iac.spec.kindof import KindOf

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pydantic.fields import FieldInfo

    from platform_iac.spec.errors import Path


@dataclass(frozen=True, slots=True)
class Tagged:
    """Models told apart by `kind`; `family` names the folder of kinds where they come from one."""

    models: dict[str, type[Model]]
    family: str = ""


@dataclass(frozen=True, slots=True)
class Each:
    """The values of a map or the entries of a list."""

    annotation: Any


Shape = type[Model] | Tagged | Each


def shapes(annotation: Any, metadata: tuple[Any, ...] = ()) -> Iterator[Shape]:
    """Yield what a value of this annotation can be, as far as it has parts of its own."""
    for mark in metadata:
        if isinstance(mark, KindOf):
            yield Tagged({kind: spec for kind, spec in mark.specs().items() if issubclass(spec, Model)}, mark.family)
            return
    origin, arguments = get_origin(annotation), get_args(annotation)
    if origin is Annotated:
        yield from shapes(arguments[0], tuple(arguments[1:]))
    elif origin in (Union, UnionType):
        models = [option for option in arguments if isinstance(option, type) and issubclass(option, Model)]
        if len(models) > 1:
            yield Tagged({kind_of(model): model for model in models})
        else:
            for option in arguments:
                yield from shapes(option)
    elif origin is dict:
        yield Each(arguments[1])
    elif origin in (tuple, list):
        yield Each(arguments[0])
    elif isinstance(annotation, type) and issubclass(annotation, Model):
        yield annotation


def kind_of(model: type[Model]) -> str:
    """Return the literal `kind` of a model; KeyError where it has none."""
    annotation = model.model_fields["kind"].annotation
    if get_origin(annotation) is not Literal:
        raise KeyError(f"{model.__name__}.kind is no Literal")
    return str(get_args(annotation)[0])


def field_shapes(info: FieldInfo) -> list[Shape]:
    """Return the shapes of a field's value."""
    return list(shapes(info.annotation, tuple(info.metadata)))


def step(shape: Shape, key: str | int) -> tuple[list[Shape], bool]:
    """Return the shapes one step down, and whether the step is one of the reader's path (no tag)."""
    if isinstance(shape, Tagged):
        return ([shape.models[key]] if isinstance(key, str) and key in shape.models else []), False
    if isinstance(shape, Each):
        return list(shapes(shape.annotation)), True
    info = shape.model_fields.get(str(key))
    return (field_shapes(info) if info else []), True


def follow(root: type[Model], place: Path) -> tuple[Path, list[Shape]]:
    """Return the reader's path of pydantic's `place`, and what is expected there.

    Below a value without parts pydantic only names the branches of a union; a reader has no such path.
    """
    path: list[str | int] = []
    here: list[Shape] = [root]
    for key in place:
        if not here:
            break
        below: list[Shape] = []
        shown = True
        for shape in here:
            found, counts = step(shape, key)
            below += found
            shown = shown and (counts or not found)
        if shown:
            path.append(key)
        here = below
    return tuple(path), here


def models(root: type[Model]) -> list[type[Model]]:
    """Return every model that a spec can be made of, each once."""
    found: list[type[Model]] = []
    waiting: list[Shape] = [root]
    while waiting:
        shape = waiting.pop()
        if isinstance(shape, Tagged):
            waiting += shape.models.values()
        elif isinstance(shape, Each):
            waiting += shapes(shape.annotation)
        elif shape not in found:
            found.append(shape)
            for info in shape.model_fields.values():
                waiting += field_shapes(info)
    return found
