"""The network of a lab: a namespace with a bridge, name service, and the ways in from here.

Machines in it reach each other and nothing else: there is no route out of the namespace. The
bridge has the first address of the network and answers DNS for the lab's hosts. From here, `ssh -F
<ssh_config>` reaches every host, and loopback ports lead to single ports inside.
"""

from __future__ import annotations

import contextlib
import ipaddress
import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from platform_iac.lab import cgroups, limits, paths, services
from platform_iac.lab.paths import LabError
from platform_iac.lab.process import run
from platform_iac.lab.services import NAMESPACES

BRIDGE = "br0"
# In the order of removal: a kill in between leaves what says that the rest is ours.
_FILES = (
    "ssh_config",
    "known_hosts",
    "hosts",
    "dns.log",
    "forward.log",
    "id_ed25519.pub",
    "id_ed25519",
    ".id_ed25519.new",
    ".id_ed25519.new.pub",
    "network.json",
)


@dataclass(frozen=True, slots=True)
class Network:
    """A lab's network, as `ensure` left it."""

    lab: str
    cidr: str
    domain: str
    hosts: Mapping[str, str]
    netns: str
    gateway: str
    ssh_config: Path
    public_key: str


def gateway(cidr: str) -> str:
    """The first address of the network, which is the bridge's."""
    return str(ipaddress.IPv4Network(cidr)[1])


def hosts_text(hosts: Mapping[str, str], domain: str) -> str:
    """The hosts file that names are answered from: full name first, then the short one."""
    return "".join(f"{address} {name}.{domain} {name}\n" for name, address in sorted(hosts.items()))


def ssh_config_text(hosts: Mapping[str, str], domain: str, folder: Path, namespace: str) -> str:
    """An OpenSSH client configuration that reaches the hosts by name, full name or address."""
    blocks = [
        f"Host {name} {name}.{domain} {address}\n  HostName {address}\n  HostKeyAlias {name}\n"
        for name, address in sorted(hosts.items())
    ]
    everyone = f"""\
Host *
  User root
  IdentityFile "{folder / "id_ed25519"}"
  IdentitiesOnly yes
  UserKnownHostsFile "{folder / "known_hosts"}"
  GlobalKnownHostsFile /dev/null
  StrictHostKeyChecking yes
  UpdateHostKeys no
  BatchMode yes
  ConnectTimeout 10
  ServerAliveInterval 15
  ProxyCommand nsenter --net={NAMESPACES / namespace} socat - TCP:%h:%p,connect-timeout=10
"""
    return "\n".join([*blocks, everyone])


def ensure(
    lab: str,
    cidr: str,
    hosts: Mapping[str, str],
    *,
    domain: str = "lab.test",
    forwards: Mapping[int, str] | None = None,
) -> Network:
    """Make the network as described, or change what is there to be so; machines notice nothing.

    `forwards` maps a loopback port of this workstation to `host:port` in the lab.

    Raises:
        LabError: the namespace's name is taken by someone else, or a loopback port is.
    """
    _check_hosts(cidr, hosts)
    folder = paths.private_dir(paths.lab(lab))
    with paths.locked(folder / "lock"):
        old = _read(folder)
        wanted = {"lab": lab, "cidr": cidr, "domain": domain, "hosts": dict(hosts), "netns": paths.netns(lab)}
        _own_namespace(folder, old, wanted)
        limits.lift()
        _make_bridge(paths.netns(lab), cidr)
        public_key = _ensure_key(folder)
        paths.write(folder / "ssh_config", ssh_config_text(hosts, domain, folder, paths.netns(lab)), 0o600)
        services.serve_names(lab, gateway(cidr), BRIDGE, hosts_text(hosts, domain))
        services.forward(lab, {port: _target(hosts, name) for port, name in (forwards or {}).items()})
    return Network(
        lab=lab,
        cidr=cidr,
        domain=domain,
        hosts=dict(hosts),
        netns=paths.netns(lab),
        gateway=gateway(cidr),
        ssh_config=folder / "ssh_config",
        public_key=public_key,
    )


def load(lab: str) -> Network:
    """Return the network that `ensure` made.

    Raises:
        LabError: there is none of that name.
    """
    folder = paths.lab(lab)
    known = _read(folder)
    if not known or not (folder / "id_ed25519.pub").exists():
        raise LabError(f"there is no lab called {lab}")
    return Network(
        lab=lab,
        cidr=known["cidr"],
        domain=known["domain"],
        hosts=known["hosts"],
        netns=known["netns"],
        gateway=gateway(known["cidr"]),
        ssh_config=folder / "ssh_config",
        public_key=(folder / "id_ed25519.pub").read_text(encoding="utf-8").strip(),
    )


def exists(lab: str) -> bool:
    """Tell whether the lab's own namespace is there; after a reboot of the workstation it is not."""
    known = _read(paths.lab(lab))
    return bool(known) and known.get("inode") == _inode(known["netns"])


def delete(lab: str) -> None:
    """Remove the network and the lab's folder; a lab that is not there is fine.

    Raises:
        LabError: it still has machines.
    """
    folder = paths.lab(lab)
    if not folder.exists():
        return
    with paths.locked(folder / "lock"):
        if machines := [path.name for path in (folder / "machines").glob("[!.]*")]:
            raise LabError(f"lab {lab} still has machines: {', '.join(sorted(machines))} — delete them first")
        known = _read(folder)
        if known:
            cgroups.remove(lab)
            if (NAMESPACES / paths.netns(lab)).exists():
                _refuse_foreign(known, paths.netns(lab))
                _remove_namespace(paths.netns(lab))
            limits.restore()
        for name in _FILES:
            (folder / name).unlink(missing_ok=True)
        paths.forget(lab)


def _check_hosts(cidr: str, hosts: Mapping[str, str]) -> None:
    network = ipaddress.IPv4Network(cidr)
    taken = {gateway(cidr): "the gateway"}
    for name, address in hosts.items():
        paths.check_label(name)
        if ipaddress.IPv4Address(address) not in network:
            raise LabError(f"{name}: {address} is not in {cidr}")
        if address in taken:
            raise LabError(f"{name}: {address} is the address of {taken[address]}")
        taken[address] = name


def _target(hosts: Mapping[str, str], target: str) -> str:
    """Return `address:port` for `host:port`."""
    name, _, port = target.rpartition(":")
    if name not in hosts or not port.isdecimal():
        raise LabError(f"forward to {target!r}: there is no such host or port")
    return f"{hosts[name]}:{port}"


def _read(folder: Path) -> dict[str, Any]:
    with contextlib.suppress(FileNotFoundError):
        return dict(json.loads((folder / "network.json").read_text(encoding="utf-8")))
    return {}


def _inode(namespace: str) -> int:
    """The identity of a namespace, or of the empty file that a killed `ip netns add` leaves (0)."""
    path = NAMESPACES / namespace
    return path.stat().st_ino if os.path.ismount(path) else 0


def _refuse_foreign(known: Mapping[str, Any], namespace: str) -> None:
    """Refuse a namespace of our name that is not the one our state remembers."""
    inode = _inode(namespace)
    if not known or known.get("inode") not in (None, inode):
        raise LabError(
            f"network namespace {namespace} exists and is not from this lab's state — "
            f"choose another name for the lab, or remove it with `ip netns delete {namespace}`"
        )


def _own_namespace(folder: Path, old: Mapping[str, Any], wanted: dict[str, Any]) -> None:
    """Leave a namespace that is ours. The intent is written first, so that a kill loses nothing."""
    namespace = str(wanted["netns"])
    if (NAMESPACES / namespace).exists():
        _refuse_foreign(old, namespace)
        if not _inode(namespace):
            (NAMESPACES / namespace).unlink()
    if not (NAMESPACES / namespace).exists():
        paths.write(folder / "network.json", json.dumps(wanted), 0o600)
        run(["ip", "netns", "add", namespace])
    paths.write(folder / "network.json", json.dumps({**wanted, "inode": _inode(namespace)}), 0o600)


def _remove_namespace(namespace: str) -> None:
    if _inode(namespace):
        run(["ip", "netns", "delete", namespace])
    else:
        (NAMESPACES / namespace).unlink()


def _make_bridge(namespace: str, cidr: str) -> None:
    links = json.loads(run(["ip", "-n", namespace, "-json", "address", "show"]))
    if not any(link.get("ifname") == BRIDGE for link in links):
        run(["ip", "-n", namespace, "link", "add", BRIDGE, "type", "bridge"])
    prefix = ipaddress.IPv4Network(cidr).prefixlen
    run(["ip", "-n", namespace, "address", "replace", f"{gateway(cidr)}/{prefix}", "dev", BRIDGE])
    run(["ip", "-n", namespace, "link", "set", BRIDGE, "up"])
    run(["ip", "-n", namespace, "link", "set", "lo", "up"])


def _ensure_key(folder: Path) -> str:
    """Return the public half of the lab's own key, which opens its machines and nothing else."""
    private = folder / "id_ed25519"
    if not private.exists():
        new = folder / ".id_ed25519.new"
        new.unlink(missing_ok=True)
        run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", f"lab {folder.name}", "-f", new])
        new.with_name(new.name + ".pub").rename(private.with_name("id_ed25519.pub"))
        new.rename(private)
    return private.with_name("id_ed25519.pub").read_text(encoding="utf-8").strip()
