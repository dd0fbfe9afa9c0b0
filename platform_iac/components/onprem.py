"""An on-prem site: hosts that exist already, reached as the administrator's OpenSSH config says."""

from __future__ import annotations

from typing import TYPE_CHECKING

from paramiko import HostKeys

from platform_iac.components.reach import Reach

if TYPE_CHECKING:
    from pathlib import Path

    from platform_iac.plan.model import Plan, Site


def reach(site: Site, plan: Plan, folder: Path) -> Reach:
    """Return the door to `site`: its config, and each host's key from the site's known_hosts.

    The spec names both files relative to its own `folder`.

    Raises:
        LookupError: hosts have no key there; a host that is not known is never logged in to.
    """
    access = site.settings["access"]
    known = HostKeys(str(folder / access["known_hosts"]))
    keys: dict[str, str] = {}
    strangers: list[str] = []
    for host in (host for host in plan.hosts if host.site == site.name):
        found = known.lookup(host.name) or known.lookup(host.fqdn) or known.lookup(host.address)
        if not found:
            strangers.append(f"{host.name} ({host.address})")
            continue
        kind = min(found.keys(), key=lambda name: (name != "ssh-ed25519", name))
        keys[host.name] = f"{kind} {found[kind].get_base64()}"
    if strangers:
        raise LookupError(
            f"{access['known_hosts']} has no key for {', '.join(strangers)} — add it from a source you trust, for "
            "example the installer's record"
        )
    return Reach(ssh_config=str((folder / access["ssh_config"]).resolve()), host_keys=keys)
