"""Role inputs against the role's own `argument_specs`, before anything is done with them."""

from __future__ import annotations

import functools
import json
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from platform_iac.provider import wanted
from platform_iac.provider.diff import entry
from platform_iac.provider.handlers import Failure
from platform_iac.provider.runner.play import roles_path
from platform_iac.provider.values import known

NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]*")
MODE = re.compile(r"0?[0-7]{3,4}")
BUILT_IN = ("packages", "files", "units", "users")


def check(inputs: Mapping[str, Any]) -> list[Failure]:
    """Return everything that is wrong with a Role's inputs; what is not known yet is not judged."""
    role = inputs.get("role")
    if not isinstance(role, str) or not NAME.fullmatch(role):
        return [Failure("role", f"{role!r} is no name of a role")]
    spec = _spec(role)
    if spec is None:
        known_roles = ", ".join(_roles()) or "none"
        return [Failure("role", f"there is no role {role!r} with an argument spec; there are: {known_roles}")]
    failures = [*_hosts(inputs), *_files(inputs.get("files", {}), "files")]
    for name, host in wanted.hosts(inputs).items():
        failures += _files(host.get("files", {}), f"{entry('hosts', name)}.files")
    if isinstance(secrets := inputs.get("secrets", {}), Mapping):
        missing = sorted(wanted.secrets_asked_for(inputs) - secrets.keys())
        failures += [Failure("secrets", f"files refer to the secret {name!r}, which is not given") for name in missing]
    return failures or list(_arguments(inputs, spec))


def _hosts(inputs: Mapping[str, Any]) -> Iterator[Failure]:
    for name, host in wanted.hosts(inputs).items():
        address = host.get("address", "")
        if not NAME.fullmatch(name):
            yield Failure(entry("hosts", name), "is no host name")
        if known(address) and not re.fullmatch(r"[A-Za-z0-9.:_-]*", str(address)):
            yield Failure(f"{entry('hosts', name)}.address", f"{address!r} is no address")
        if (
            known(key := host.get("hostKey", ""))
            and key
            and not re.fullmatch(r"[a-z0-9@.-]+ [A-Za-z0-9+/=]+", str(key))
        ):
            yield Failure(f"{entry('hosts', name)}.hostKey", "must be `type base64`, as in a known_hosts file")


def _files(files: Mapping[str, Any], path: str) -> Iterator[Failure]:
    for name, file in files.items():
        where = entry(path, name)
        if not name.startswith("/") or ".." in name.split("/"):
            yield Failure(where, "must be an absolute path without `..`")
        if known(file) and not isinstance(file.get("content"), str):
            yield Failure(f"{where}.content", "must be text")
        if known(file) and not MODE.fullmatch(str(file.get("mode", "0644"))):
            yield Failure(f"{where}.mode", f"{file.get('mode')!r} is no octal mode such as 0644")


def _arguments(inputs: Mapping[str, Any], spec: Mapping[str, Any]) -> Iterator[Failure]:
    """Judge each set of arguments that hosts really get; equal sets are judged once."""
    from ansible.module_utils.common.arg_spec import ArgumentSpecValidator
    from ansible.module_utils.errors import UnsupportedError

    validator = ArgumentSpecValidator(dict(spec))
    seen: set[str] = set()
    said: set[str] = set()
    shared = {**inputs, "files": {}}
    for name, host in wanted.hosts(inputs).items():
        arguments = wanted.arguments({**shared, "hosts": {name: {**host, "files": {}}}}, name)
        if wanted.files(inputs, name):
            arguments[f"{inputs['role']}_files"] = {}
        if not known(arguments) or (text := json.dumps(arguments, sort_keys=True)) in seen:
            continue
        seen.add(text)
        for error in validator.validate(arguments).errors.errors:
            message = f"{'there is no argument ' if isinstance(error, UnsupportedError) else ''}{error.msg}"
            if message not in said:
                said.add(message)
                yield Failure(_where(message, inputs, name), message)


def _where(message: str, inputs: Mapping[str, Any], host: str) -> str:
    """Return the input that a message of Ansible's validator is about, as well as it can be told."""
    prefix = f"{inputs['role']}_"
    found: list[str] = [
        word.removeprefix(prefix) for word in re.findall(r"[A-Za-z0-9_]+", message) if word.startswith(prefix)
    ]
    if not found:
        return ""
    if found[0] in BUILT_IN:
        return found[0]
    own: Mapping[str, Any] = inputs["hosts"][host].get("vars", {})
    return f"{entry('hosts', host)}.vars.{found[0]}" if found[0] in own else f"vars.{found[0]}"


@functools.cache
def _spec(role: str) -> Mapping[str, Any] | None:
    """The options of the role's entry point `main`, None where there are none."""
    import yaml

    for folder in roles_path():
        path = folder / role / "meta" / "argument_specs.yml"
        if path.is_file():
            loaded = yaml.safe_load(path.read_text(encoding="utf-8"))
            return dict(loaded["argument_specs"]["main"].get("options") or {})
    return None


def _roles() -> list[str]:
    found: list[Path] = [path for folder in roles_path() for path in folder.glob("*/meta/argument_specs.yml")]
    return sorted(path.parents[1].name for path in found)
