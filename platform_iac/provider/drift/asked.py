"""What roles look after besides files, packages, units and users: their own modules, which drift asks on the host.

A role's `meta/drift.yml` maps such a module to the role's argument that it takes. The module's function `drift` gets
the argument's value and returns what differs, each thing with a sentence.
"""

from __future__ import annotations

import functools
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from platform_iac.provider import wanted
from platform_iac.provider.runner.play import roles_path

NAME = "role."
"""What a module's name on the host begins with."""


def arguments(inputs: Mapping[str, Any], host: str) -> dict[str, Any]:
    """Return by module what it is asked with on one host; one whose argument the host does not have is not asked."""
    given = {"files": sorted(wanted.files(inputs, host)), **wanted.variables(inputs, host)}
    return {module: given[name] for module, name in _asked(str(inputs.get("role", ""))).items() if given.get(name)}


@functools.cache
def text(module: str, role: str) -> str:
    """Return the source of a module: the role's own, or one that roles share."""
    for folder in roles_path():
        for place in (folder / role / "library", folder / "plugins" / "modules"):
            path = place / f"{module}.py"
            if path.is_file():
                return path.read_text(encoding="utf-8")
    raise FileNotFoundError(f"role {role}: meta/drift.yml names a module {module}, which there is none of")


@functools.cache
def _asked(role: str) -> Mapping[str, str]:
    import yaml

    for folder in roles_path():
        path: Path = folder / role / "meta" / "drift.yml"
        if path.is_file():
            return dict(yaml.safe_load(path.read_text(encoding="utf-8")))
    return {}
