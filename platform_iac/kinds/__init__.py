"""The extension point: every file below a family's folder is a kind, found by walking.

A kind is a module (or a package with the same four names):

- `Spec`: a pydantic model with a literal `kind`, the kind's part of the spec. Its `holds_state` is False where no data
  goes when it is taken out.
- `plan(name, spec, context) -> Part`: what it adds to the plan. Pure. `name` is its key in the spec.
- `checks(name, spec, context) -> tuple[Check, ...]`: what proves it on the running platform. Pure.
- `wire(spec, platform, hosts) -> Fabric`: a fabric's switches and cables; only kinds of fabrics have it. Pure.
- `exports(spec, context) -> dict[str, str]`: texts by file name that other machines and tools read of a fabric with
  racks, such as the configuration of its switches; only kinds of fabrics have it. Pure.
- `build(...)`: Pulumi resources, where a kind needs more than roles. Imports Pulumi inside.

Files whose name begins with an underscore are shared helpers of a family, not kinds.
"""

from __future__ import annotations

import importlib
import pkgutil
from functools import cache
from types import MappingProxyType, ModuleType
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

FAMILIES = ("site", "fabric", "storage", "scheduler", "service")


class UnknownKindError(LookupError):
    """No file of that name in the family's folder."""


@cache
def family(name: str) -> Mapping[str, ModuleType]:
    """Return the kinds of one family by name, sorted."""
    package = importlib.import_module(f"{__name__}.{name}")
    names = sorted(found.name for found in pkgutil.iter_modules(package.__path__) if not found.name.startswith("_"))
    return MappingProxyType({kind: importlib.import_module(f"{package.__name__}.{kind}") for kind in names})


def find(family_name: str, kind: str) -> ModuleType:
    """Return the module of one kind.

    Raises:
        UnknownKindError: with the kinds there are.
    """
    kinds = family(family_name)
    if kind not in kinds:
        raise UnknownKindError(f"no {family_name} of kind {kind!r}; there are: {', '.join(kinds) or 'none'}")
    return kinds[kind]
