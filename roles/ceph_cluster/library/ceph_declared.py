#!/usr/bin/python
"""Make a cluster's pools, file systems and client keys in one task."""

from __future__ import annotations

import configparser
import shutil
from pathlib import Path
from typing import Any

from ansible.module_utils import ceph_cluster as cluster
from ansible.module_utils.basic import AnsibleModule

DOCUMENTATION = r"""
module: ceph_declared
short_description: Make pools, file systems and client keys of a Ceph cluster
description:
  - Pools and file systems are made and their copies adjusted; none is ever removed here, for that would take the data.
  - Keys of clients are exactly those of O(keyring) among the names that begin with C(client.mount-).
  - In check mode a host without Ceph counts as a change, not as a failure.
options:
  pools:
    description: Name to size, min_size, pg_num and application.
    type: dict
    required: true
  filesystems:
    description: Name to metadata and data, the names of its pools.
    type: dict
    required: true
  keyring:
    description: File with the keys and rights of all clients, readable by root only.
    type: path
    required: true
"""

RETURN = r"""
actions:
  description: What was done, or in check mode would be, in words.
  type: list
"""

OURS = "client.mount-"
Step = tuple[str, tuple[str, ...]]


def pool_steps(wanted: dict[str, dict[str, Any]], there: list[dict[str, Any]]) -> list[Step]:
    """Return what makes the pools as they should be."""
    known = {pool["pool_name"]: pool for pool in there}
    todo: list[Step] = []
    for name, pool in sorted(wanted.items()):
        current = known.get(name, {})
        if name not in known:
            make = ("osd", "pool", "create", name, str(pool["pg_num"]), "replicated")
            todo.append((f"add pool {name}", make))
        for setting in ("size", "min_size"):
            if current.get(setting) != pool[setting]:
                change = ("osd", "pool", "set", name, setting, str(pool[setting]))
                todo.append((f"{setting} of pool {name} becomes {pool[setting]}", change))
        if pool["application"] not in current.get("application_metadata", {}):
            enable = ("osd", "pool", "application", "enable", name, pool["application"])
            todo.append((f"pool {name} is for {pool['application']}", enable))
    return todo


def filesystem_steps(wanted: dict[str, dict[str, str]], there: list[dict[str, Any]]) -> list[Step]:
    """Return what makes the file systems that are not there."""
    known = {filesystem["name"] for filesystem in there}
    return [
        (f"add file system {name}", ("fs", "new", name, pools["metadata"], pools["data"]))
        for name, pools in sorted(wanted.items())
        if name not in known
    ]


def key_steps(keyring: str, there: list[dict[str, Any]], path: str) -> list[Step]:
    """Return what makes the clients' keys and rights those of the keyring, and removes those that are not in it."""
    reader = configparser.ConfigParser(interpolation=None)
    reader.read_string(keyring)
    known = {entry["entity"]: (entry["key"], entry["caps"]) for entry in there}
    wanted = {}
    for entity in reader.sections():
        section = reader[entity]
        caps = {name.removeprefix("caps ").strip(): text.strip('"') for name, text in section.items() if name != "key"}
        wanted[entity] = (section["key"], caps)
    differs = sorted(entity for entity, want in wanted.items() if known.get(entity) != want)
    todo: list[Step] = [(f"keys of {', '.join(differs)}", ("auth", "import", "-i", path))] if differs else []
    strangers = sorted(entity for entity in known.keys() - wanted.keys() if entity.startswith(OURS))
    return todo + [(f"remove the key of {entity}", ("auth", "rm", entity)) for entity in strangers]


def main() -> None:
    """Run as an Ansible module."""
    module = AnsibleModule(
        argument_spec={
            "pools": {"type": "dict", "required": True},
            "filesystems": {"type": "dict", "required": True},
            "keyring": {"type": "path", "required": True, "no_log": False},
        },
        supports_check_mode=True,
    )
    asked = module.params
    try:
        if module.check_mode and not (shutil.which("ceph") and Path(asked["keyring"]).exists()):
            module.exit_json(changed=True, actions=["everything"])
        todo = [
            *pool_steps(asked["pools"], cluster.ask("osd", "pool", "ls", "detail")),
            *filesystem_steps(asked["filesystems"], cluster.ask("fs", "ls")),
            *key_steps(Path(asked["keyring"]).read_text(), cluster.ask("auth", "ls")["auth_dump"], asked["keyring"]),
        ]
        for _, words in [] if module.check_mode else todo:
            cluster.ceph(*words)
    except (cluster.ClusterError, OSError) as error:
        module.fail_json(msg=str(error))
    actions = [sentence for sentence, _ in todo]
    text = "".join(f"{action}\n" for action in actions)
    module.exit_json(changed=bool(todo), actions=actions, diff={"before": "", "after": text} if todo else {})


if __name__ == "__main__":
    main()
