"""The resource types of the `platform` provider, as the program sees them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pulumi

if TYPE_CHECKING:
    from collections.abc import Mapping


class Identity(pulumi.CustomResource):
    """What tells this platform from every other; drawn once. `home` has the first `site` and its `hosts`."""

    platform: pulumi.Output[str]

    def __init__(self, name: str, home: Mapping[str, Any], *, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("platform:index:Identity", name, {"home": home, "platform": None}, opts)


class Key(pulumi.CustomResource):
    """A random secret of `length` bytes, made once and kept encrypted in state."""

    value: pulumi.Output[str]

    def __init__(
        self, name: str, *, length: int, form: str = "hex", opts: pulumi.ResourceOptions | None = None
    ) -> None:
        shape = {"length": length} | ({"form": form} if form != "hex" else {})
        super().__init__("platform:secret:Key", name, {**shape, "value": None}, opts)


class Role(pulumi.CustomResource):
    """One Ansible role on a group of hosts of one site."""

    applied: pulumi.Output[Mapping[str, str]]

    def __init__(self, name: str, inputs: Mapping[str, Any], *, opts: pulumi.ResourceOptions | None = None) -> None:
        secret = pulumi.ResourceOptions(additional_secret_outputs=["secrets"])
        outputs = {"applied": None, "failed": None, "drift": None}
        opts = pulumi.ResourceOptions.merge(opts, secret)
        super().__init__("platform:ansible:Role", name, {**inputs, **outputs}, opts)


class Mirror(pulumi.CustomResource):
    """The packages that a lab's machines install from, in a directory of the workstation."""

    path: pulumi.Output[str]

    def __init__(self, name: str, inputs: Mapping[str, Any], *, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("platform:lab:Mirror", name, {**inputs, "path": None}, opts)


class Network(pulumi.CustomResource):
    """A lab's network namespace with its bridge, its DNS and its loopback forwards."""

    sshConfig: pulumi.Output[str]  # noqa: N815  Pulumi's property names are camelCase

    def __init__(self, name: str, inputs: Mapping[str, Any], *, opts: pulumi.ResourceOptions | None = None) -> None:
        outputs = {"sshConfig": None, "netns": None, "publicKey": None}
        super().__init__("platform:lab:Network", name, {**inputs, **outputs}, opts)


class Machine(pulumi.CustomResource):
    """One machine of a lab."""

    hostKey: pulumi.Output[str]  # noqa: N815
    instance: pulumi.Output[str]

    def __init__(self, name: str, inputs: Mapping[str, Any], *, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("platform:lab:Machine", name, {**inputs, "hostKey": None, "instance": None}, opts)
