"""`platform-iac ansible`: the same roles, run by plain `ansible-playbook`.

Nothing of the platform is hidden in a tool: whoever has the export and the roles can bring hosts to
the plan without Pulumi. Secrets are not in it, only their placeholders.
"""

from __future__ import annotations

import json
import re
import shutil
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING, Any

from platform_iac.commands.door import ssh_config, user
from platform_iac.commands.folder import own
from platform_iac.plan.export import named, value
from platform_iac.plan.make import make
from platform_iac.plan.render import ROLES
from platform_iac.spec.load import load

if TYPE_CHECKING:
    from collections.abc import Collection

    from platform_iac.plan.model import Plan, Run

TEMPLATE = re.compile(r"\{[{%#]")


def ansible(stack: str, directory: Path) -> int:
    """Write the export of a stack and say how to run it."""
    plan = make(load(stack))
    configs = {site.name: ssh_config(stack, plan, site.name) for site in plan.sites}
    export(
        plan, directory, configs, sudo={host.name for host in plan.hosts if user(configs[host.site], host) != "root"}
    )
    print(f"cd {directory} && ansible-playbook site.yml")
    if plan.secrets:
        names = ", ".join(secret.name for secret in plan.secrets)
        print(f"Set PLATFORM_IAC_SECRETS to a JSON file with the values of: {names}")
    return 0


def export(plan: Plan, directory: Path, configs: dict[str, Path], *, sudo: Collection[str] = ()) -> None:
    """Write inventory, playbook, variables and ansible.cfg; `configs` are OpenSSH configurations by site.

    On the hosts in `sudo`, who logs in is not root.

    Raises:
        CommandError: the directory holds something else.
    """
    own(directory)
    shutil.rmtree(directory / "runs", ignore_errors=True)
    (directory / "runs").mkdir()
    (directory / "ansible.cfg").write_text(_config(configs))
    _write(directory / "inventory.json", _inventory(plan, configs, sudo))
    _write(directory / "site.yml", [_play(run) for run in plan.runs])
    for run in plan.runs:
        folder = directory / "runs" / run.name
        folder.mkdir()
        (folder / "all.yml").write_text(_literal(common_vars(run)) + "\n")
        for host in run.hosts:
            (folder / f"{host}.yml").write_text(_literal(host_vars(run, host)) + "\n")


def common_vars(run: Run) -> dict[str, Any]:
    """Return the role's arguments that all hosts of the run share, with the role's prefix."""
    found: dict[str, Any] = {**value(run.vars)}
    if run.packages:
        found["packages"] = list(run.packages)
    if run.files:
        found["files"] = named(run.files, by="path")
    if run.units:
        found["units"] = named(run.units)
    if run.users:
        found["users"] = named(run.users)
    return {f"{run.role}_{name}": content for name, content in found.items()}


def host_vars(run: Run, host: str) -> dict[str, Any]:
    """Return the role's arguments of one host; its files together with the common ones."""
    found: dict[str, Any] = {**value(run.host_vars.get(host, {}))}
    if own := run.host_files.get(host, ()):
        found["files"] = named((*run.files, *own), by="path")
    return {f"{run.role}_{name}": content for name, content in found.items()}


def _play(run: Run) -> dict[str, Any]:
    return {
        "name": f"Run {run.name}",
        "hosts": ",".join(run.hosts),
        "gather_facts": False,
        "vars_files": [f"runs/{run.name}/all.yml", f"runs/{run.name}/{{{{ inventory_hostname }}}}.yml"],
        "tasks": [{"name": f"Role {run.role}", "ansible.builtin.import_role": {"name": run.role}}],
    }


def _inventory(plan: Plan, configs: dict[str, Path], sudo: Collection[str]) -> dict[str, Any]:
    hosts = {
        host.name: {
            "ansible_ssh_common_args": f"-F {configs[host.site]}",
            "ansible_python_interpreter": "/usr/bin/python3",
            **({"ansible_become": True} if host.name in sudo else {}),
        }
        for host in plan.hosts
    }
    pools = sorted({host.pool for host in plan.hosts})
    groups: dict[str, Any] = {
        pool: {"hosts": {host.name: {} for host in plan.hosts if host.pool == pool}} for pool in pools
    }
    return {"all": {"hosts": hosts, "children": {f"pool_{pool.replace('-', '_')}": groups[pool] for pool in pools}}}


def _config(configs: dict[str, Path]) -> str:
    """Return ansible.cfg. Connections are kept apart by how hosts are reached: two labs may both have a `gpu01`."""
    ways = sha256("\n".join(sorted(map(str, configs.values()))).encode()).hexdigest()[:12]
    return f"""\
[defaults]
inventory = inventory.json
roles_path = {ROLES}
library = {ROLES / "plugins" / "modules"}
action_plugins = {ROLES / "plugins" / "action"}
gathering = explicit
forks = 32
# By itself Ansible asks its workers a thousand times a second whether they are done.
internal_poll_interval = 0.02
[ssh_connection]
pipelining = True
control_path_dir = ~/.ansible/cp/{ways}
"""


def _write(path: Path, content: Any) -> None:
    path.write_text(json.dumps(content, indent=1) + "\n")


def _literal(content: Any) -> str:
    """Return JSON in which text that looks like a template is tagged: to Ansible a file's `{{ … }}` is text."""
    if isinstance(content, dict):
        return "{" + ",\n ".join(f"{json.dumps(key)}: {_literal(found)}" for key, found in content.items()) + "}"
    if isinstance(content, list):
        return "[" + ", ".join(map(_literal, content)) + "]"
    text = json.dumps(content)
    return f"!unsafe {text}" if isinstance(content, str) and TEMPLATE.search(content) else text
