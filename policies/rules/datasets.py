"""Datasets: each has a team that answers for it and an end, and no way on which others read or change it."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from policies.parse import lines
from policies.rule import Rule
from policies.values import UnjudgedError

if TYPE_CHECKING:
    from policies.rule import Context
    from policies.target import Stack, Target

FOLDER = "/etc/platform-iac/datasets/"
ENCRYPTED = ("s3", "sftp")
"""Types of remotes that are judged by their settings; a type that is not here is refused."""


def _remotes(target: Target) -> Iterator[tuple[str, str, dict[str, list[str]]]]:
    """Yield (hosts, section, settings) of rclone's files; a setting that is there twice has both values."""
    for hosts, file in target.files(FOLDER):
        if not file.path.endswith(".conf"):
            continue
        found: dict[str, dict[str, list[str]]] = {}
        for each in lines.sections(file.content):
            found.setdefault(each.section, {}).setdefault(each.name, []).append(each.value)
        for section, settings in found.items():
            yield hosts, section, settings


def _ours(stack: Stack) -> set[str]:
    """Names of the platform's own hosts: traffic to them stays on its network."""
    return {host for target in stack.roles() for host in target.hosts}


def _transport(stack: Stack, context: Context) -> Iterator[str]:
    del context
    ours = _ours(stack)
    for target in stack.roles("datasets"):
        for hosts, section, settings in _remotes(target):
            for problem in _in_clear(settings, ours):
                yield f"{hosts}: {section}: {problem}"


def _in_clear(settings: dict[str, list[str]], ours: set[str]) -> Iterator[str]:
    kinds = [kind.lower() for kind in settings.get("type", ["nothing"])]
    for kind in kinds:
        if kind not in ENCRYPTED:
            yield f"type {kind} is none of {', '.join(ENCRYPTED)}"
    for name in ("no_check_certificate", "override"):
        if name in settings:
            yield f"{name} = {settings[name][-1]}"
    if "s3" in kinds:
        for endpoint in settings.get("endpoint", []):
            scheme, _, rest = endpoint.lower().rpartition("://")
            host = re.split(r"[/:?#]", rest.rpartition("@")[2])[0]
            if scheme not in ("", "https") and host.partition(".")[0] not in ours:
                yield f"{endpoint} is asked in clear"
    if "sftp" in kinds:
        if not any(settings.get("known_hosts_file", [])):
            yield "without known_hosts_file any host is believed"
        if any(settings.get("pass", [])):
            yield "it logs in with a password"


def _declared(target: Target) -> Iterator[tuple[str, str, dict[str, Any]]]:
    for hosts, file in target.files(FOLDER):
        if file.path.endswith(".json"):
            try:
                found = json.loads(file.content)
            except ValueError as error:
                raise UnjudgedError(f"{file.path} cannot be read: {error}") from error
            if not isinstance(found, dict):
                raise UnjudgedError(f"{file.path} is no map")
            yield hosts, file.path, found


def _owned(target: Target, context: Context) -> Iterator[str]:
    teams = context.facts.teams
    for hosts, path, dataset in _declared(target):
        owner, folder, mount = (str(dataset.get(name) or "") for name in ("owner", "folder", "mount"))
        if not owner or (teams is not None and owner not in teams):
            yield f"{hosts}: {path}: {owner or 'nobody'} owns it"
        elif not mount or not folder.startswith(f"{mount}/{owner}/") or ".." in folder:
            yield f"{hosts}: {path}: {folder or 'nowhere'} is not in the folder of {owner}"


def _ends(target: Target, context: Context) -> Iterator[str]:
    for hosts, path, dataset in _declared(target):
        versions, size = dataset.get("keep_versions"), dataset.get("size_bytes")
        if type(versions) is not int or not 1 <= versions <= context.settings["versions"]:
            yield f"{hosts}: {path}: keep_versions is {versions}"
        if type(size) is not int or size <= 0:
            yield f"{hosts}: {path}: size_bytes is {size}"


RULES = (
    Rule(
        id="datasets-transport",
        why="What is moved in clear, or from a host that nobody has identified, is read and changed on its way.",
        do="Use object stores over https, our own, or sftp with a key and known_hosts.",
        reference="rclone.org/s3, rclone.org/sftp",
        whole=_transport,
    ),
    Rule(
        id="datasets-owner",
        why="Data that no team answers for is never deleted, and counts against nobody's quota.",
        do="Set `owner` to a team, and leave the folder to the kind.",
        roles=("datasets",),
        each=_owned,
    ),
    Rule(
        id="datasets-retention",
        why="Without a number of versions to keep and a size, a storage fills until it stops everybody.",
        do="Set `keep_versions` to `versions` or less, and `size_gib`.",
        roles=("datasets",),
        settings={"versions": 20},
        each=_ends,
    ),
)
