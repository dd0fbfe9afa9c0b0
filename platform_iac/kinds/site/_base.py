"""What sites of every kind plan: where packages come from, what every host has, and the GPUs' driver.

A run covers the hosts of all sites, so the first site of the spec plans for all of them; what
differs from site to site is a host's own file.
"""

from __future__ import annotations

from ipaddress import IPv4Network
from typing import TYPE_CHECKING, Any, Protocol, cast

from platform_iac.kinds.site import _bluefield, _gpu
from platform_iac.kinds.storage._shared import has_shared_homes
from platform_iac.plan.model import Check, File, Part, Run, Unit, User
from platform_iac.plan.render import render

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from platform_iac.plan.context import Context
    from platform_iac.plan.model import Host

MIRROR_ROOT = "/srv/mirror"
MIRROR_KEY = f"{MIRROR_ROOT}/debian/platform-iac.gpg.asc"
KEYRING = "/etc/apt/keyrings/platform-iac.asc"
APT_CONF = "/etc/apt/apt.conf.d/20platform"
SOURCES = "/etc/apt/platform.sources"
FOR_PEOPLE = ("login", "compute", "edge", "workstation")
"""Duties whose hosts people log in to; compute hosts let them in only beside a job of theirs."""


class Site(Protocol):
    """What a site kind's `Spec` must have for this plan."""

    domain: str
    network: str

    @property
    def gpus(self) -> str:
        """`nvidia`, or `simulated` for machines that also have no clock and no limits of their own."""

    @property
    def time_servers(self) -> tuple[str, ...]:
        """NTP servers of the site; none means that the site keeps its own time."""

    @property
    def driver(self) -> _gpu.Driver:
        """Packages of the NVIDIA driver."""


def plan(name: str, context: Context) -> Part:
    """Return the runs `mirror`, `base` and `gpu` of all sites; nothing for any site but the first."""
    if name != min(context.spec.sites) or not context.hosts:
        return Part()
    sites = _sites(context)
    runs = [_base(context, sites), *_gpu.runs(context, sites), *_bluefield.runs(context)]
    if mirrors := context.with_duty("mirror"):
        runs.append(_mirror(mirrors))
    return Part(runs=tuple(runs))


def _sites(context: Context) -> Mapping[str, Site]:
    """Every site kind's `Spec` has what `Site` asks for; the root of the spec only knows what all sites have."""
    return cast("Mapping[str, Site]", context.spec.sites)


def _mirror(hosts: tuple[Host, ...]) -> Run:
    source = "/etc/apt/mirror.sources"
    why = "The mirror installs from its own folder: it is the first host and no one's guest."
    files = (
        File(path="/etc/apt/apt.conf.d/10mirror", content=render("mirror", "apt.conf.j2", why=why, sources=source)),
        File(
            path=source,
            content=render("mirror", "mirror.sources.j2", uri=f"file://{MIRROR_ROOT}/debian", key=MIRROR_KEY),
        ),
        File(path="/etc/nginx/nginx.conf", content=render("mirror", "nginx.conf.j2", root=MIRROR_ROOT)),
    )
    return Run(
        name="mirror",
        role="mirror",
        hosts=tuple(host.name for host in hosts),
        packages=("nginx-light",),
        files=files,
        units=(Unit(name="nginx.service", restart_on=("/etc/nginx/nginx.conf",)),),
    )


def _base(context: Context, sites: Mapping[str, Site]) -> Run:
    """With one site only the hosts of the infrastructure have files of their own: a new node touches no other."""
    keys = {
        name: member.authorized_keys for team in context.spec.teams.values() for name, member in team.members.items()
    }
    common = [
        File(path="/usr/sbin/policy-rc.d", content=render("base", "policy-rc.d.j2"), mode="0755"),
        File(path="/etc/systemd/journald.conf.d/50-platform.conf", content=render("base", "journald.conf.j2")),
        File(path="/etc/ssh/sshd_config.d/10-platform.conf", content=render("base", "sshd.conf.j2", refused=())),
        *(
            File(path=f"/etc/ssh/authorized_keys.d/{name}", content=render("base", "authorized_keys.j2", keys=own))
            for name, own in sorted(keys.items())
            if own
        ),
    ]
    by_site = {name: _of_site(name, site, context) for name, site in sorted(sites.items())}
    alone = len(by_site) == 1
    if alone:
        common += next(iter(by_site.values()))
    clocks = {host.name for name in by_site for host in _clocks(name, context)}
    refused = tuple(context.members())
    host_files: dict[str, tuple[File, ...]] = {}
    for host in context.hosts:
        differs = _of_host(host, sites[host.site], serves=host.name in clocks, refused=refused)
        if override := _override(() if alone else by_site[host.site], differs):
            host_files[host.name] = tuple(override)
    urls = {name: context.mirror_of(name) for name in by_site}
    mirrors = {host.name: {"mirror": urls[host.site]} for host in context.hosts if urls[host.site]}
    own: dict[str, dict[str, Any]] = {} if alone else {name: dict(mirror) for name, mirror in mirrors.items()}
    for host in context.hosts:
        if has_shared_homes(host, context):
            own.setdefault(host.name, {})["shared_homes"] = True
    return Run(
        name="base",
        role="base",
        hosts=tuple(host.name for host in context.hosts),
        packages=("chrony",),
        files=tuple(sorted(common, key=lambda file: file.path)),
        host_files=host_files,
        units=(Unit(name="chrony.service", restart_on=_chrony_paths(by_site.values())),),
        users=tuple(context.members().values()),
        vars=next(iter(mirrors.values()), {}) if alone else {},
        host_vars=own,
        after=("mirror",),
    )


def _chrony_paths(by_site: Iterable[Iterable[File]]) -> tuple[str, ...]:
    return tuple(sorted({file.path for files in by_site for file in files if "chrony" in file.path}))


def _of_site(name: str, site: Site, context: Context) -> tuple[File, ...]:
    """The files that all hosts of one site share."""
    twin = site.gpus == "simulated"
    clocks = tuple(host.name for host in _clocks(name, context))
    servers = tuple(site.time_servers) or clocks
    files = [
        File(path="/etc/chrony/chrony.conf", content=_chrony(servers, "", twin=twin)),
        File(path="/etc/default/chrony", content=render("base", "chrony.default.j2", twin=twin)),
        File(path="/etc/security/limits.d/90-platform.conf", content=render("base", "limits.conf.j2", twin=twin)),
    ]
    if twin:
        path = "/etc/systemd/system/chrony.service.d/platform.conf"
        files.append(File(path=path, content=render("base", "chrony.service.conf.j2")))
    if url := context.mirror_of(name):
        why = "This host installs from its site's mirror and from nowhere else."
        source = render("base", "platform.sources.j2", uri=f"{url}/debian", key=KEYRING)
        files.append(File(path=APT_CONF, content=render("base", "apt.conf.j2", why=why, sources=SOURCES)))
        files.append(File(path=SOURCES, content=source))
    return tuple(files)


def _of_host(host: Host, site: Site, *, serves: bool, refused: tuple[str, ...]) -> tuple[File, ...]:
    """The files of one host that differ from its neighbours': it `serves` time, or is not for people."""
    files = []
    if serves:
        text = _chrony(site.time_servers, str(IPv4Network(site.network)), twin=site.gpus == "simulated")
        files.append(File(path="/etc/chrony/chrony.conf", content=text))
    if host.duty not in FOR_PEOPLE and refused:
        text = render("base", "sshd.conf.j2", refused=refused)
        files.append(File(path="/etc/ssh/sshd_config.d/10-platform.conf", content=text))
    return tuple(files)


def _chrony(servers: Iterable[str], serves: str, *, twin: bool) -> str:
    return render("base", "chrony.conf.j2", servers=tuple(servers), serves=serves, twin=twin)


def _override(files: Iterable[File], own: Iterable[File]) -> list[File]:
    """Return both, sorted by path; where both have a path, the host's own."""
    merged = {file.path: file for file in (*files, *own)}
    return [merged[path] for path in sorted(merged)]


def _clocks(site: str, context: Context) -> tuple[Host, ...]:
    """The hosts that serve time at a site: its mirrors, or else its controllers."""
    for duty in ("mirror", "controller"):
        if found := tuple(host for host in context.with_duty(duty) if host.site == site):
            return found
    return ()


def checks(name: str, context: Context) -> tuple[Check, ...]:
    """Return what proves the hosts of one site, host by host."""
    url = context.mirror_of(name)
    people = context.members()
    found = []
    for host in (host for host in context.hosts if host.site == name):
        if url:
            found.append(_packages(host.name, url))
        found.append(
            Check(
                name=f"{host.name} keeps the site's time",
                host=host.name,
                argv=("chronyc", "-n", "tracking"),
                expect=r"^Leap status +: Normal$",
            )
        )
        if people:
            found.append(_accounts(host.name, people))
    return (*found, *_gpu.checks(name, context), *_bluefield.checks(name, context))


def _packages(host: str, url: str) -> Check:
    """`--print-uris` names every source that apt would ask, and asks none."""
    return Check(
        name=f"{host} installs from the mirror only",
        host=host,
        argv=("apt-get", "--print-uris", "update"),
        expect=rf"\A('{url}/debian/\S+ .*\n)+\Z",
    )


def _accounts(host: str, people: Mapping[str, User]) -> Check:
    lines = r"[\s\S]*".join(rf"^{user.name}:[^:]*:{user.uid}:" for user in people.values())
    return Check(name=f"{host} knows every member", host=host, argv=("getent", "passwd", *people), expect=lines)
