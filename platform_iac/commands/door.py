"""The OpenSSH configuration by which this machine reaches a host of a stack."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING

from platform_iac.commands.errors import CommandError
from platform_iac.spec.load import locate

if TYPE_CHECKING:
    from platform_iac.plan.model import Host, Plan, Site


def ssh_config(stack: str, plan: Plan, site_name: str) -> Path:
    """Return the OpenSSH client configuration of a site of `stack`, whose plan is `plan`.

    Raises:
        CommandError: there is none yet; with the command that makes it.
    """
    from platform_iac.lab import paths

    site = next(site for site in plan.sites if site.name == site_name)
    if "access" in site.settings:
        return _verified(plan, site, locate(stack).parent)
    path = paths.lab(paths.lab_of(plan.name, site.name)) / "ssh_config"
    if not path.is_file():
        raise CommandError(f"there is no {path} — is the stack up? `platform-iac up {plan.name}` brings it up")
    return path


def _verified(plan: Plan, site: Site, folder: Path) -> Path:
    """Write the site's own configuration with what the spec adds to it: the host keys, and addresses without DNS.

    OpenSSH takes the first value it meets, so host keys are ours and everything else is the site's.
    """
    from platform_iac.lab import paths

    config = (folder / site.settings["access"]["ssh_config"]).resolve()
    known_hosts = (folder / site.settings["access"]["known_hosts"]).resolve()
    for path in (config, known_hosts):
        if not path.is_file():
            raise CommandError(f"there is no {path} — `sites.{site.name}.access` names it")
    hosts = [host for host in plan.hosts if host.site == site.name]
    path = paths.private_dir(paths.labs().parent / "onprem") / f"{plan.name}-{site.name}.ssh_config"
    paths.write(path, text(hosts, config, known_hosts), 0o600)
    return path


def text(hosts: list[Host], config: Path, known_hosts: Path) -> str:
    """Return a configuration that verifies `hosts` against `known_hosts` and takes the rest from `config`."""
    known = set(re.split(r"[,\s]", known_hosts.read_text(encoding="utf-8")))
    aliases = {
        host: next((name for name in (host.name, host.fqdn, host.address) if name in known), host.name)
        for host in hosts
    }
    keys = [f"Host {host.name} {host.fqdn}\n  HostKeyAlias {alias}\n" for host, alias in aliases.items()]
    everyone = f"""\
Host *
  UserKnownHostsFile "{known_hosts}"
  GlobalKnownHostsFile /dev/null
  StrictHostKeyChecking yes
  UpdateHostKeys no
  Include "{config}"
"""
    addresses = [f"Host {host.name} {host.fqdn}\n  HostName {host.address}\n" for host in hosts]
    return "\n".join([*keys, everyone, *addresses])
