"""What differs on this host from what is expected: `probe(expected)` answers nothing else."""

from __future__ import annotations

import sys
from typing import Any

from platform_iac.provider.drift.host import accounts, files, kernel, ownership, packages, touched, units
from platform_iac.provider.drift.host.tools import differing

SECONDS = 15
"""How long one command of a role's module may take: the whole probe has a minute."""


def probe(expected: dict[str, Any]) -> dict[str, Any]:
    """Return what differs, by kind and name, and for each thing what is known of who touched it."""
    found = differing(expected["files"], lambda path, file: files.look(path, file, expected["salt"]))
    answer: dict[str, Any] = {
        "files": found,
        "packages": packages.wrong(expected["packages"], expected["floors"]),
        "units": units.wrong(expected["units"], set(found)),
        "users": accounts.wrong(expected["users"]),
        "settings": kernel.settings(expected["settings"]),
        "mounts": kernel.mounts(expected["mounts"]),
        "asked": ask(expected["asked"]),
        "owner": ownership.wrong(expected["platform"]),
    }
    answer["touched"] = touched.touched(answer)
    return answer


def ask(modules: dict[str, Any]) -> dict[str, str]:
    """Return what the role's own modules say of what they look after, by thing."""
    found: dict[str, str] = {}
    for name, argument in modules.items():
        module: Any = sys.modules[name]
        module.TIMEOUT_SECONDS = SECONDS
        try:
            found.update(module.drift(argument))
        except Exception as error:  # noqa: BLE001  a module that fails to ask must not hide what else differs
            found[name.rpartition(".")[2].replace("_", " ")] = "cannot be asked: " + str(error)
    return found
