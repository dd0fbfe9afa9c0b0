"""`platform-iac ssh`: a shell on a host, or one command there."""

from __future__ import annotations

import os

from platform_iac.commands.door import ssh_config
from platform_iac.commands.explain import find
from platform_iac.plan.make import make
from platform_iac.spec.load import load


def ssh(host: str, *, stack: str, command: list[str]) -> int:
    """Become OpenSSH: its exit status is ours. Host keys are verified against those known since creation."""
    if command[:1] == ["--stack"] and len(command) > 1:  # also after the host, where people write it
        stack, command = command[1], command[2:]
    plan = make(load(stack))
    site = find(plan, host).site
    words = command[1:] if command[:1] == ["--"] else command
    os.execvp("ssh", ["ssh", "-F", str(ssh_config(stack, plan, site)), host, *(["--", *words] if words else [])])  # noqa: S606
