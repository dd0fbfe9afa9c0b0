"""What a Role's inputs say about each host, and the digest that tells whether it was applied."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from typing import Any

from platform_iac.provider.values import Unknown

SHARED = ("packages", "files", "units", "users", "vars")
PLACEHOLDER = re.compile(r"@@secret/([A-Za-z0-9_.-]+)@@")


def hosts(inputs: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """Return the hosts by name."""
    found = inputs.get("hosts", {})
    return dict(found) if isinstance(found, dict) else {}


def files(inputs: Mapping[str, Any], host: str) -> dict[str, dict[str, Any]]:
    """Return the files of one host: those of all hosts, and its own over them."""
    return {**inputs.get("files", {}), **inputs.get("hosts", {}).get(host, {}).get("files", {})}


def variables(inputs: Mapping[str, Any], host: str) -> dict[str, Any]:
    """Return the role's own arguments for one host, without the role's prefix."""
    return {**inputs.get("vars", {}), **inputs.get("hosts", {}).get(host, {}).get("vars", {})}


def digests(inputs: Mapping[str, Any], *, salt: str) -> dict[str, str]:
    """Return for each host what `applied` holds once all of it is done there.

    The way to the host (address, host key, ssh configuration) does not count; its `instance` does:
    a new machine needs everything again. `salt` keeps secrets from being guessed by their digest.
    """
    shared = {name: inputs[name] for name in (*SHARED, "role", "digest", "secrets", "platform") if name in inputs}
    common = hashlib.sha256(f"{salt}\0{_text(shared)}".encode()).digest()
    result = {}
    for name, host in hosts(inputs).items():
        own = {key: value for key, value in host.items() if key not in ("address", "hostKey")}
        result[name] = hashlib.sha256(common + _text(own).encode()).hexdigest()
    return result


def arguments(inputs: Mapping[str, Any], host: str) -> dict[str, Any]:
    """Return everything the role is called with on one host, with the role's prefix."""
    role = inputs["role"]
    found: dict[str, Any] = {name: inputs[name] for name in ("packages", "units", "users") if inputs.get(name)}
    if every := files(inputs, host):
        found["files"] = every
    found.update(variables(inputs, host))
    return {f"{role}_{name}": value for name, value in found.items()}


def secrets_asked_for(inputs: Mapping[str, Any]) -> set[str]:
    """Return the names of the secrets that some file refers to."""
    groups = [inputs.get("files", {}), *(host.get("files", {}) for host in hosts(inputs).values())]
    return {
        name
        for group in groups
        for file in group.values()
        for name in PLACEHOLDER.findall(file.get("content", "") if isinstance(file.get("content"), str) else "")
    }


def fill(content: str, secrets: Mapping[str, str]) -> str:
    """Return `content` with placeholders replaced; one without a value stays."""
    return PLACEHOLDER.sub(lambda found: secrets.get(found.group(1), found.group(0)), content)


def _text(value: Any) -> str:
    return json.dumps(value, sort_keys=True, separators=(",", ":"), default=_unknown)


def _unknown(value: object) -> str:
    if isinstance(value, Unknown):
        return "unknown"
    raise TypeError(f"{type(value).__name__} is no JSON")
