"""The plan: what the platform will be, as one frozen value.

Nothing here reads a file, a host or the network. Every tuple is sorted by whoever builds it, so
the same spec always gives the same bytes. Units are in the names (`_seconds`, `_gib`, `_mib`).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from platform_iac.fabric.model import Fabric
    from platform_iac.spec.hardware import Hardware


@dataclass(frozen=True, slots=True, kw_only=True)
class File:
    """One file on one host, rendered. A secret appears only as its placeholder (see `Secret`)."""

    path: str
    content: str
    mode: str = "0644"
    owner: str = "root"
    group: str = "root"


@dataclass(frozen=True, slots=True, kw_only=True)
class Unit:
    """A systemd unit and the files whose change restarts or reloads it."""

    name: str
    enabled: bool = True
    running: bool = True
    restart_on: tuple[str, ...] = ()
    reload_on: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class User:
    """A POSIX account with the same uid on every host it is on."""

    name: str
    uid: int
    groups: tuple[str, ...] = ()
    shell: str = "/bin/bash"
    authorized_keys: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Secret:
    """A random value that is made once and kept encrypted in Pulumi's state.

    Rendered text refers to it by `placeholder`; the provider fills it in on the way to the host.
    As text it is hexadecimal (2 x `length_bytes` characters), or a key as Ceph's keyrings have it
    (`form="cephx"`, 16 bytes).
    """

    name: str
    length_bytes: int = 32
    form: Literal["hex", "cephx"] = "hex"

    @property
    def placeholder(self) -> str:
        """The text that stands for the secret."""
        return f"@@secret/{self.name}@@"


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """One Ansible role applied to a group of hosts: one `platform:ansible:Role` resource.

    `vars` and `host_vars` name the role's own arguments without the role's prefix: `{"driver":
    "simulated"}` reaches the role `gpu` as `gpu_driver`. `needs` are runs that must exist and come
    first; `after` are runs that come first where they exist. `before` is `after` seen from the other
    end, for a kind that others need not know: `make` turns it into their `after`.
    """

    name: str
    role: str
    hosts: tuple[str, ...]
    packages: tuple[str, ...] = ()
    files: tuple[File, ...] = ()
    host_files: Mapping[str, tuple[File, ...]] = field(default_factory=dict)
    units: tuple[Unit, ...] = ()
    users: tuple[User, ...] = ()
    vars: Mapping[str, Any] = field(default_factory=dict)
    host_vars: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    secrets: tuple[str, ...] = ()
    needs: tuple[str, ...] = ()
    after: tuple[str, ...] = ()
    before: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Check:
    """A command on a host that proves something; passes when it exits 0 and stdout matches.

    `argv` is executed without a shell of ours. `expect` is a regular expression searched in
    standard output with re.MULTILINE; the empty one always matches.
    """

    name: str
    host: str
    argv: tuple[str, ...]
    expect: str = ""
    user: str = "root"
    timeout_seconds: int = 60


@dataclass(frozen=True, slots=True, kw_only=True)
class Endpoint:
    """A web page that people open: `name` is what a site's `forwards` refers to.

    `user` logs in with the value of the secret called `secret`; both empty where no login is asked.
    """

    name: str
    host: str
    port: int
    user: str = ""
    secret: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Store:
    """Storage that jobs write to, and how fast it must be at least: what `platform-iac check storage` measures.

    `directory` is where a member may write, with `{user}` for the account. `floors` are those of
    `kinds/storage/_floors.py` that the spec sets. Every node uses a file of `size_mib`; of `shared`
    storage it reads the one that its neighbour wrote, so that no cache of its own answers.
    """

    name: str
    directory: str
    nodes: int
    floors: Mapping[str, float] = field(default_factory=dict)
    size_mib: int = 8192
    seconds: int = 30
    shared: bool = True
    direct: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class Host:
    """One machine: where it is, what it is for and what it is made of."""

    name: str
    address: str
    fqdn: str
    site: str
    pool: str
    duty: str
    hardware: Hardware


@dataclass(frozen=True, slots=True, kw_only=True)
class Site:
    """One place with machines. `settings` is the site's spec as JSON, for the kind's `build`."""

    name: str
    kind: str
    settings: Mapping[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """What one kind adds to the plan."""

    runs: tuple[Run, ...] = ()
    secrets: tuple[Secret, ...] = ()
    endpoints: tuple[Endpoint, ...] = ()
    pip: tuple[str, ...] = ()
    """Python requirements (`mlflow==3.18.0`) that the hosts install from the mirror."""
    stores: tuple[Store, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """The whole platform. `runs` are in the order in which they can be applied, `sites` in the order of the spec.

    Resources at the first site have names without a site (docs/decisions/0016).
    """

    name: str
    environment: str
    sites: tuple[Site, ...]
    hosts: tuple[Host, ...]
    secrets: tuple[Secret, ...]
    runs: tuple[Run, ...]
    endpoints: tuple[Endpoint, ...]
    checks: tuple[Check, ...]
    pip: tuple[str, ...]
    fabric: Fabric | None = None
    stores: tuple[Store, ...] = ()

    @property
    def packages(self) -> tuple[str, ...]:
        """Every Debian package that some host installs, sorted: what a mirror must hold."""
        return tuple(sorted({name for run in self.runs for name in run.packages}))

    def host(self, name: str) -> Host:
        """The host called `name`; KeyError where there is none."""
        for host in self.hosts:
            if host.name == name:
                return host
        raise KeyError(name)
