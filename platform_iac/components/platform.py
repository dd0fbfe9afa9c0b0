"""The whole platform as one Pulumi component: sites, secrets, and a Role for every run of the plan."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pulumi

from platform_iac import kinds
from platform_iac.components.digest import role_digest
from platform_iac.components.resources import Identity, Key, Role
from platform_iac.plan.resources import by_site, former_names, home, role_inputs

if TYPE_CHECKING:
    from pathlib import Path

    from platform_iac.components.reach import Reach
    from platform_iac.plan.model import Endpoint, Plan, Run


class Platform(pulumi.ComponentResource):
    """Everything in `plan`, in the plan's order. Files that the spec names are relative to `folder`.

    `spec` is what the stack calls its spec: an input, so that policies can read what no other resource carries.
    """

    def __init__(self, plan: Plan, folder: Path, spec: str, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("platform:index:Platform", plan.name, {"spec": spec}, opts)
        self._plan = plan
        self._hosts = {host.name: host for host in plan.hosts}
        self._identity = Identity(plan.name, home(plan), opts=self._child())
        self._keys = {
            secret.name: Key(secret.name, length=secret.length_bytes, form=secret.form, opts=self._child())
            for secret in plan.secrets
        }
        self._reach = {
            site.name: kinds.find("site", site.kind).build(site, plan, parent=self, folder=folder)
            for site in plan.sites
        }
        roles: dict[str, list[pulumi.Resource]] = {}
        for run in plan.runs:
            first = [role for name in (*run.needs, *run.after) for role in roles.get(name, [])]
            roles[run.name] = [self._role(name, run, site, first) for name, site in by_site(plan, run)]
        self.endpoints = {endpoint.name: self._login(endpoint) for endpoint in plan.endpoints}
        self.register_outputs({"hosts": len(plan.hosts), "runs": len(plan.runs)})

    def _login(self, endpoint: Endpoint) -> dict[str, Any]:
        """Where a page is opened, and with which name and password."""
        host = self._hosts[endpoint.host]
        forwards = next(site for site in self._plan.sites if site.name == host.site).settings.get("forwards", {})
        port = forwards.get(endpoint.name)
        return {
            "url": f"http://127.0.0.1:{port}" if port else f"http://{host.fqdn}:{endpoint.port}",
            "user": endpoint.user,
            "password": self._keys[endpoint.secret].value if endpoint.secret else "",
        }

    def _role(self, name: str, run: Run, site: str, first: list[pulumi.Resource]) -> Role:
        reach = self._reach[site]
        aliases = [pulumi.Alias(name=former) for former in former_names(self._plan, run, site)]
        opts = pulumi.ResourceOptions(
            parent=self, depends_on=first, deleted_with=reach.deleted_with, aliases=aliases or None
        )
        return Role(name, self._inputs(run, site, reach), opts=opts)

    def _inputs(self, run: Run, site: str, reach: Reach) -> dict[str, Any]:
        """What the plan decides, and what only the engine knows: how each host is reached, and secrets."""
        inputs = role_inputs(self._plan, run, site)
        for host, about in inputs["hosts"].items():
            if host in reach.host_keys:
                about["hostKey"] = reach.host_keys[host]
            if host in reach.instances:
                about["instance"] = reach.instances[host]
        return {
            **inputs,
            "digest": role_digest(run.role),
            "sshConfig": reach.ssh_config,
            "platform": self._identity.platform,
            "secrets": pulumi.Output.secret({name: self._keys[name].value for name in run.secrets}),
        }

    def _child(self) -> pulumi.ResourceOptions:
        return pulumi.ResourceOptions(parent=self)
