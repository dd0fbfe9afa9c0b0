"""Give the module `host_files` the secrets its files ask for, and no others. To remove a file none is needed.

The values come from the JSON file `{name: value}` whose path is in the environment variable
PLATFORM_IAC_SECRETS. They travel as a `no_log` argument: results and diffs show placeholders.
"""

from __future__ import annotations

import json
import os
import re
from pathlib import Path
from typing import Any

from ansible.errors import AnsibleActionFail
from ansible.plugins.action import ActionBase

PLACEHOLDER = re.compile(r"@@secret/([A-Za-z0-9_.-]+)@@")


def asked_for(files: dict[str, Any]) -> set[str]:
    """Return the names of the secrets that the contents of `files` refer to."""
    return {name for file in files.values() for name in PLACEHOLDER.findall(str(file.get("content", "")))}


def supply(names: set[str], path: str, *, needed: bool = True) -> dict[str, str]:
    """Return the named secrets from the JSON file at `path`; where they are not `needed`, those that are there.

    Raises:
        AnsibleActionFail: some are needed and not there; names them.
    """
    known: dict[str, str] = {}
    if names and path:
        known = json.loads(Path(path).read_text(encoding="utf-8"))
    missing = sorted(names - known.keys())
    if missing and needed:
        raise AnsibleActionFail(f"files refer to secrets that this run was not given: {', '.join(missing)}")
    return {name: known[name] for name in sorted(names & known.keys())}


class ActionModule(ActionBase):  # type: ignore[misc]
    """Run the module on the host with `secrets` added to its arguments."""

    _supports_check_mode = True
    _requires_connection = True

    def run(self, tmp: str | None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        """Return the module's result."""
        result: dict[str, Any] = super().run(tmp, task_vars)
        arguments = dict(self._task.args)
        files = arguments.get("files")
        if isinstance(files, dict):
            store, needed = os.environ.get("PLATFORM_IAC_SECRETS", ""), arguments.get("state") != "absent"
            arguments["secrets"] = supply(asked_for(files), store, needed=needed)
        result.update(self._execute_module(module_name="host_files", module_args=arguments, task_vars=task_vars))
        return result
