"""Jinja2 for host files: undefined names are errors, and values are data, never templates."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any

from jinja2 import FileSystemLoader, StrictUndefined
from jinja2.sandbox import ImmutableSandboxedEnvironment

_PACKAGE = Path(__file__).resolve().parents[1]


def beside(folder: str) -> Path:
    """Return a folder that plans read: beside this package in a checkout, in it where a wheel was installed."""
    own = _PACKAGE / folder
    return own if own.is_dir() else _PACKAGE.parent / folder


ROLES = beside("roles")


@cache
def _environment(role: str) -> ImmutableSandboxedEnvironment:
    return ImmutableSandboxedEnvironment(
        loader=FileSystemLoader(ROLES / role / "templates"),
        undefined=StrictUndefined,
        autoescape=False,  # configuration files, not HTML
        keep_trailing_newline=True,
        trim_blocks=True,
        lstrip_blocks=True,
    )


def render(role: str, template: str, **values: Any) -> str:
    """Return `roles/<role>/templates/<template>` filled with `values`.

    Raises:
        jinja2.UndefinedError: the template uses a name that is not in `values`.
    """
    return _environment(role).get_template(template).render(values)
