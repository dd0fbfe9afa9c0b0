"""The playbook and the inventory of one run, as text.

Both are JSON, which Ansible reads where YAML may be, and much faster. (Its `!unsafe` tag would also
turn the text "0400" into a number.)
"""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from platform_iac.provider import reach, wanted
from platform_iac.provider.reach import Target
from platform_iac.provider.runner import owner

# Settings that no environment variable sets. Ansible asks its workers a thousand times a second whether they are done;
# fifty times do, and leave the processor to them.
SETTINGS = "[defaults]\ninternal_poll_interval = 0.02\n"
COMMON, OWN, STALE = "platform_iac_files", "platform_iac_host_files", "platform_iac_stale"
AGAIN, TAKE, LEAVE = "platform_iac_again", "platform_iac_take", "platform_iac_leave"
WHOLE = "platform_iac_whole"


@dataclass(frozen=True, slots=True)
class Job:
    """One role to be run on some hosts.

    `inputs` are the Role's; `hosts` which of its hosts; `stale` what earlier runs left on a host
    (`files`, `units`, and the `watchers` of such files among units that stay); `again` the units that are to
    start again whatever they are; `me` who works on the hosts, as `owner.take` has it, or nobody; `over` the hosts
    that it takes from another platform; `former` the secrets of earlier inputs, which are not said either. `whole`
    says that the role goes from all its hosts, this job's or others', so that none needs to leave anything to those
    that stay.
    """

    inputs: Mapping[str, Any]
    hosts: tuple[str, ...]
    teardown: bool = False
    check: bool = False
    stale: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    again: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    me: Mapping[str, Any] = field(default_factory=dict)
    over: tuple[str, ...] = ()
    former: Mapping[str, str] = field(default_factory=dict)
    whole: bool = False

    @property
    def secrets(self) -> dict[str, str]:
        """The values by name."""
        return dict(self.inputs.get("secrets") or {})


def playbook(job: Job) -> str:
    """Return the playbook: the host is taken, what is stale is removed, the role runs, units that watched it follow."""
    role = job.inputs["role"]
    variables = {f"{role}_files": f"{{{{ {COMMON} | combine({OWN}) }}}}"} if _has_files(job) else {}
    tasks: list[dict[str, Any]] = [
        {
            "name": f"Role {role}",
            "ansible.builtin.include_role": {
                "name": role,
                "tasks_from": "teardown.yml" if job.teardown else "main.yml",
                "rolespec_validate": False,  # `arguments.check` has done that, once for all hosts
            },
            "vars": variables,
        }
    ]
    if job.stale:
        tasks = [*_remove_stale(), *tasks, _restart_watchers()]
    if job.again:
        tasks.append(_start_again())
    if job.me:
        tasks = [_raw("Take the host", TAKE), *tasks, *([_raw("Leave the host", LEAVE)] if job.teardown else [])]
    return json.dumps([{"name": role, "hosts": "all", "gather_facts": False, "tasks": tasks}], indent=1)


def inventory(job: Job, targets: Mapping[str, Target], folder: Path) -> str:
    """Return the inventory as JSON: arguments of all hosts once, a host's own with the host."""
    inputs, role = job.inputs, job.inputs["role"]
    common: dict[str, Any] = {
        f"{role}_{name}": inputs[name] for name in ("packages", "units", "users") if inputs.get(name)
    }
    common |= {f"{role}_{name}": value for name, value in inputs.get("vars", {}).items()}
    if _has_files(job):
        common[COMMON] = inputs.get("files", {})
    if job.me:
        common |= {TAKE: owner.command("take", job.me), LEAVE: owner.command("leave", job.me)}
    if job.whole:
        common[WHOLE] = True
    hosts = {}
    for name in job.hosts:
        host = inputs["hosts"][name]
        own = {f"{role}_{key}": value for key, value in host.get("vars", {}).items()}
        own |= {OWN: host.get("files", {})} if _has_files(job) else {}
        own |= {STALE: {"files": {}, "units": {}, "watchers": {}, **job.stale.get(name, {})}} if job.stale else {}
        own |= {AGAIN: {unit: {"restart_on": [AGAIN]} for unit in job.again.get(name, ())}} if job.again else {}
        own |= {TAKE: owner.command("take", {**job.me, "over": True})} if name in job.over else {}
        hosts[name] = own | connection(targets[name], folder)
    return json.dumps({"all": {"vars": literal(common), "hosts": literal(hosts)}})


def connection(target: Target, folder: Path) -> dict[str, Any]:
    """Return Ansible's variables for reaching one host as ssh would, with the key that the plan knows."""
    if target.local:
        return {"ansible_connection": "local", "ansible_python_interpreter": sys.executable}
    options = [f"-o HostName={target.hostname}"] if not target.mapped else []
    if target.host_key:
        options += [
            f"-o HostKeyAlias={target.name}",
            f"-o UserKnownHostsFile={folder / 'known_hosts'}",
            "-o GlobalKnownHostsFile=/dev/null",
        ]
    found: dict[str, Any] = {
        "ansible_ssh_common_args": " ".join(options),
        "ansible_python_interpreter": "/usr/bin/python3",
    }
    if target.user == "root":
        return found | {"ansible_remote_tmp": "/run/platform-iac"}
    return found | {"ansible_become": True}


def known_hosts(targets: Mapping[str, Target]) -> str:
    """Return a known_hosts file with the keys that the plan knows, each under the host's own name."""
    return "".join(f"{name} {target.host_key}\n" for name, target in sorted(targets.items()) if target.host_key)


def environment(job: Job, folder: Path, sockets: Path, secrets: str) -> dict[str, str]:
    """Return the environment of one run."""
    config = job.inputs.get("sshConfig", reach.LOCAL)
    ssh = [
        *(["-F", str(config)] if config != reach.LOCAL else []),
        *("-o", "StrictHostKeyChecking=yes", "-o", "BatchMode=yes", "-o", "UpdateHostKeys=no"),
        *("-o", "ControlMaster=auto", "-o", "ControlPersist=60s", "-o", "ServerAliveInterval=15"),
    ]
    plugins = roles_path()[0] / "plugins"
    return {
        "ANSIBLE_CONFIG": str(folder / "ansible.cfg"),
        "ANSIBLE_HOME": str(folder / "home"),
        "ANSIBLE_LOCAL_TEMP": str(folder / "tmp"),
        "ANSIBLE_ROLES_PATH": ":".join(map(str, roles_path())),
        "ANSIBLE_LIBRARY": str(plugins / "modules"),
        "ANSIBLE_ACTION_PLUGINS": str(plugins / "action"),
        "ANSIBLE_INVENTORY_ENABLED": "yaml",
        "ANSIBLE_PIPELINING": "1",
        "ANSIBLE_SSH_ARGS": " ".join(ssh),
        "ANSIBLE_SSH_CONTROL_PATH": str(sockets / "%%C"),
        "ANSIBLE_SSH_CONTROL_PATH_DIR": str(sockets),
        "ANSIBLE_SSH_RETRIES": "2",
        "ANSIBLE_SSH_USETTY": "0",  # nothing here asks for a password; `raw` would see a terminal's line ends
        "ANSIBLE_HOST_KEY_CHECKING": "1",
        "ANSIBLE_TIMEOUT": "30",
        "ANSIBLE_RETRY_FILES_ENABLED": "0",
        "ANSIBLE_NOCOWS": "1",
        "ANSIBLE_NOCOLOR": "1",
        "ANSIBLE_INJECT_FACT_VARS": "0",
        "ANSIBLE_DEPRECATION_WARNINGS": "0",
        "ANSIBLE_DUPLICATE_YAML_DICT_KEY": "error",
        "PLATFORM_IAC_SECRETS": secrets,
        "LC_ALL": "C.UTF-8",
    }


def roles_path() -> list[Path]:
    """Where roles are: this project's first, then the folders in PLATFORM_IAC_ROLES (a site's own)."""
    import os

    more = [Path(folder) for folder in os.environ.get("PLATFORM_IAC_ROLES", "").split(":") if folder]
    return [Path(__file__).resolve().parents[3] / "roles", *more]


def literal(value: Any) -> Any:
    """Return JSON data in which no text is a template to Ansible, whatever braces it holds."""
    if isinstance(value, str):
        return {"__ansible_unsafe": value} if "{" in value else value
    if isinstance(value, Mapping):
        return {key: literal(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [literal(item) for item in value]
    return value


def _has_files(job: Job) -> bool:
    return any(wanted.files(job.inputs, host) for host in job.hosts)


def _remove_stale() -> list[dict[str, Any]]:
    units = {"units": f"{{{{ {STALE}.units }}}}", "state": "absent"}
    return [
        {"name": "Stop units that are no longer planned", "host_units": units},
        {
            "name": "Remove files that are no longer planned",
            "host_files": {"files": f"{{{{ {STALE}.files }}}}", "state": "absent"},
            "register": "platform_iac_removed",
        },
        {
            "name": "Forget units that are no longer planned",
            "host_units": {**units, "changed_paths": "{{ platform_iac_removed.changed_paths }}"},
        },
    ]


def _restart_watchers() -> dict[str, Any]:
    """Their files are told by the plan and not by what was removed: that may have been a run that failed later."""
    arguments = {"units": f"{{{{ {STALE}.watchers }}}}", "changed_paths": f"{{{{ {STALE}.files | list }}}}"}
    return {"name": "Let units follow files that are no longer planned", "host_units": arguments}


def _start_again() -> dict[str, Any]:
    """The module restarts a unit when a path that it watches has changed; the mark stands for one."""
    arguments = {"units": f"{{{{ {AGAIN} }}}}", "changed_paths": [AGAIN]}
    return {"name": "Start again what ran with other settings", "host_units": arguments}


def _raw(name: str, command: str) -> dict[str, Any]:
    """One command over the connection that is open anyway; a dry run passes it over."""
    return {"name": name, "ansible.builtin.raw": f"{{{{ {command} }}}}", "changed_when": False}
