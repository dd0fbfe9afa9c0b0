"""The OpenSSH configuration by which this machine reaches a host of a stack."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING, Final

from platform_iac.commands.errors import CommandError
from platform_iac.spec.load import locate

if TYPE_CHECKING:
    from platform_iac.plan.model import Host, Plan, Site

_ANSWER_SECONDS: Final = 20


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


def user(config: Path, host: Host) -> str:
    """Return as whom OpenSSH logs in to a host.

    Raises:
        CommandError: OpenSSH does not take the configuration; with its words.
    """
    argv = ["ssh", "-G", "-F", str(config), host.name]
    try:
        done = subprocess.run(argv, capture_output=True, text=True, timeout=_ANSWER_SECONDS, check=False)
    except (OSError, subprocess.TimeoutExpired) as error:
        raise CommandError(f"{config}: {error}") from error
    found = re.search(r"^user (.+)$", done.stdout, re.MULTILINE)
    if done.returncode != 0 or found is None:
        raise CommandError(f"{config}: {done.stderr.strip()}")
    return found[1]


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
    hosts = _hosts(plan, site)
    path = paths.private_dir(paths.labs().parent / "onprem") / f"{plan.name}-{site.name}.ssh_config"
    paths.write(path, text(hosts, config, known_hosts), 0o600)
    return path


def known(stack: str, plan: Plan) -> None:
    """Return when every host of the plan that is there already has a host key by which it can be verified.

    A file that is not on this computer, as on one that only validates, is not judged.

    Raises:
        CommandError: some have none; with all of them.
    """
    for site in plan.sites:
        if "access" in site.settings:
            named = site.settings["access"]["known_hosts"]
            if not (path := locate(stack).parent / named).is_file():
                continue
            found = _known_as(_hosts(plan, site), path)
            if strangers := [host.name for host, name in found.items() if not name]:
                raise CommandError(
                    f"{named} has no key for {', '.join(strangers)} — add it from a source you trust, for example the "
                    "installer's record"
                )


def _hosts(plan: Plan, site: Site) -> list[Host]:
    return [host for host in plan.hosts if host.site == site.name]


def _known_as(hosts: list[Host], known_hosts: Path) -> dict[Host, str]:
    """Return the name under which each host has a key in the file, empty where it has none."""
    said = known_hosts.read_text(encoding="utf-8")
    names = set(re.split(r"[,\s]", said))
    hashed = None
    if "|1|" in said:
        from paramiko import HostKeys

        hashed = HostKeys(str(known_hosts))

    def name(host: Host) -> str:
        for each in (host.name, host.fqdn, host.address):
            if each in names or (hashed and hashed.lookup(each)):
                return each
        return ""

    return {host: name(host) for host in hosts}


def text(hosts: list[Host], config: Path, known_hosts: Path) -> str:
    """Return a configuration that verifies `hosts` against `known_hosts` and takes the rest from `config`."""
    aliases = _known_as(hosts, known_hosts)
    keys = [f"Host {host.name} {host.fqdn}\n  HostKeyAlias {aliases[host] or host.name}\n" for host in hosts]
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
