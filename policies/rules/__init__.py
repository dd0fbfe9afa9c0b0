"""The rules, one module per subject. A module's `RULES` are found by walking; nothing is registered."""

from __future__ import annotations

import importlib
import pkgutil
from functools import cache
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from policies.rule import Rule


@cache
def all_rules() -> tuple[Rule, ...]:
    """Return every rule, subjects in the order of their names."""
    names = sorted(found.name for found in pkgutil.iter_modules(__path__))
    return tuple(rule for name in names for rule in importlib.import_module(f"{__name__}.{name}").RULES)
