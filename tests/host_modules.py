"""Loads what runs on hosts by its path, as Ansible does."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from types import ModuleType

import ansible.module_utils

_ROLES = Path(__file__).resolve().parents[1] / "roles"


def load(path: str) -> ModuleType:
    """Return the module or plugin at a path below `roles/`, fresh, so that a test may replace its parts.

    What the modules of its role share is found where Ansible puts it.
    """
    place = _ROLES / path
    shared = str(place.parents[1] / "module_utils")
    if shared not in ansible.module_utils.__path__:
        ansible.module_utils.__path__.append(shared)
    spec = importlib.util.spec_from_file_location(path.removesuffix(".py").replace("/", "_"), place)
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # dataclasses look themselves up
    spec.loader.exec_module(module)
    return module
