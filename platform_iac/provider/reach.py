"""How a host is reached: what OpenSSH itself makes of the site's client configuration."""

from __future__ import annotations

import functools
import shlex
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

LOCAL = "local"
"""As `sshConfig`: the host is this computer, without ssh. For a workstation that manages itself."""


class ReachError(RuntimeError):
    """A host cannot be reached; says why."""


@dataclass(frozen=True, slots=True)
class Target:
    """One host as ssh sees it. `host_key` is `type base64`, or empty: then `known_hosts` decides."""

    name: str
    config: str
    hostname: str
    port: int
    user: str
    proxy_command: str
    identity_files: tuple[str, ...]
    known_hosts: tuple[str, ...]
    alias: str
    host_key: str
    mapped: bool
    """Whether the configuration knows the host; else the plan's address is used."""

    @property
    def local(self) -> bool:
        """Whether this is the computer we run on."""
        return self.config == LOCAL


def target(name: str, host: Mapping[str, Any], config: str) -> Target:
    """Return how to reach `name`, whose `host` has `address` and perhaps `hostKey`.

    Raises:
        ReachError: ssh does not accept the configuration.
    """
    key = host.get("hostKey")
    key = key if isinstance(key, str) else ""
    if config == LOCAL:
        return Target(name, LOCAL, "localhost", 22, "root", "", (), (), name, key, mapped=True)
    changed = Path(config).stat().st_mtime_ns if Path(config).exists() else 0
    settings = _settings(config, changed, name)
    mapped = settings["hostname"] != name
    hostname = settings["hostname"] if mapped else str(host.get("address") or name)
    return Target(
        name=name,
        config=config,
        hostname=hostname,
        port=int(settings["port"]),
        user=settings["user"],
        proxy_command=_proxy(settings, config, hostname),
        identity_files=tuple(str(Path(path).expanduser()) for path in settings["identityfile"].split("\n") if path),
        known_hosts=tuple(str(Path(path).expanduser()) for path in settings["userknownhostsfile"].split()),
        alias=settings.get("hostkeyalias", ""),
        host_key=key,
        mapped=mapped,
    )


@functools.lru_cache(maxsize=4096)
def _settings(config: str, changed: int, name: str) -> dict[str, str]:
    """What `ssh -G` says; `changed` is part of the cache's key."""
    del changed
    try:
        done = subprocess.run(
            ["ssh", "-G", "-F", config, name], capture_output=True, text=True, timeout=20, check=False
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise ReachError(f"ssh cannot be asked about {name}: {error}") from error
    if done.returncode != 0:
        raise ReachError(f"ssh does not accept {config}: {done.stderr.strip()}")
    settings: dict[str, str] = {"identityfile": "", "userknownhostsfile": ""}
    for line in done.stdout.splitlines():
        key, _, value = line.partition(" ")
        settings[key] = f"{settings[key]}\n{value}" if key == "identityfile" else value
    return settings


def _proxy(settings: Mapping[str, str], config: str, hostname: str) -> str:
    command = settings.get("proxycommand", "none")
    if command == "none" and settings.get("proxyjump", "none") != "none":
        command = _jump(settings["proxyjump"], config)
    if command == "none":
        return ""
    return command.replace("%h", hostname).replace("%p", settings["port"]).replace("%r", settings["user"])


def _jump(hops: str, config: str) -> str:
    """Return the command that OpenSSH itself makes of a ProxyJump: to the last hop, by way of those before it.

    `ssh -G` has each hop as `[user@]host[:port]`, with brackets around what is an address.
    """
    before, _, last = hops.rpartition(",")
    user, _, place = last.rpartition("@")
    host, port = (place[1:].split("]", 1)) if place.startswith("[") else place.partition(":")[::2]
    words = ["ssh", "-F", config, *(["-l", user] if user else []), *(["-p", port.strip(":")] if port else [])]
    return f"{shlex.join([*words, *(['-J', before] if before else [])])} -W '[%h]:%p' {shlex.quote(host)}"
