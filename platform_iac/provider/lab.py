"""`platform:lab:Mirror`, `platform:lab:Network` and `platform:lab:Machine`: the twin's parts as resources."""

from __future__ import annotations

from abc import ABC, abstractmethod
from pathlib import Path
from typing import TYPE_CHECKING, Any

from platform_iac.lab import guest, guest_image, image, machine, mirror, network, whole
from platform_iac.lab.guest import Guest
from platform_iac.lab.machine import Bind
from platform_iac.lab.paths import LabError
from platform_iac.provider.drift import connections
from platform_iac.provider.handlers import Change, Diff, Failure, HandlerError
from platform_iac.provider.runner import private
from platform_iac.provider.values import UNKNOWN

if TYPE_CHECKING:
    from collections.abc import Callable

    from platform_iac.provider.handlers import Context, Values


class _Part(ABC):
    """What the three have in common: inputs are compared as they are, some replace."""

    token = ""
    secret_outputs: frozenset[str] = frozenset()
    inputs: tuple[str, ...] = ()
    replacing: frozenset[str] = frozenset({"lab"})
    made: tuple[str, ...] = ()
    """Outputs that are known only once the thing exists."""

    def check(self, olds: Values, news: Values) -> tuple[Values, list[Failure]]:
        """The library refuses what cannot be, with its own words."""
        del olds
        return news, []

    def diff(self, id: str, old_inputs: Values, old_outputs: Values, news: Values) -> Diff:
        """Compare input by input; what was found missing by a refresh is made again."""
        del id, old_inputs
        changes = {
            name: Change("update" if name in old_outputs else "add")
            for name in self.inputs
            if old_outputs.get(name) != news.get(name)
        }
        if old_outputs.get("missing"):
            changes["missing"] = Change("delete", recorded=True)
        return Diff(changes, tuple(sorted(self.replacing & changes.keys())))

    def create(self, inputs: Values, ctx: Context) -> tuple[str, Values]:
        """Make it; called again after a kill it finishes what was begun."""
        if ctx.preview:
            return "", {**inputs, **dict.fromkeys(self.made, UNKNOWN)}
        return self.name(inputs), {**inputs, **_said(lambda: self.make(inputs, ctx))}

    def update(self, id: str, old_inputs: Values, old_outputs: Values, news: Values, ctx: Context) -> Values:
        """Bring it to `news` in place."""
        del id, old_inputs
        if ctx.preview:
            return {**news, **{name: old_outputs.get(name, UNKNOWN) for name in self.made}}
        return {**news, **_said(lambda: self.make(news, ctx))}

    def delete(self, id: str, inputs: Values, outputs: Values, ctx: Context) -> None:
        """Remove it and all that belongs to it."""
        del id, inputs, ctx
        _said(lambda: self.remove(outputs))

    def name(self, inputs: Values) -> str:
        """The resource's id."""
        return str(inputs["lab"])

    @abstractmethod
    def make(self, inputs: Values, ctx: Context) -> Values:
        """Bring the thing to its inputs and return the outputs in `made`."""

    @abstractmethod
    def remove(self, outputs: Values) -> None:
        """Remove the thing; gone already is fine."""


class Mirror(_Part):
    """Inputs `lab`, `packages` and `pip` (names and requirements); outputs `path` and `content` (a digest)."""

    token = "platform:lab:Mirror"  # noqa: S105
    inputs = ("lab", "packages", "pip")
    made = ("path", "content")

    def make(self, inputs: Values, ctx: Context) -> Values:
        """Fill the lab's mirror folder."""
        path, content = mirror.publish(
            inputs["lab"], inputs["packages"], inputs["pip"], lambda line: ctx.log("info", line)
        )
        return {"path": str(path), "content": content}

    def read(self, id: str, inputs: Values, outputs: Values, ctx: Context) -> tuple[Values, Values]:
        """Say when the folder does not hold what was put in it."""
        del id, ctx
        return inputs, _found(outputs, missing=mirror.published(inputs["lab"]) != outputs.get("content"))

    def remove(self, outputs: Values) -> None:
        """Remove the folder; the cache keeps the packages."""
        mirror.delete(outputs["lab"])


class Network(_Part):
    """Inputs `lab`, `cidr`, `domain`, `hosts`, `forwards`; outputs `sshConfig`, `netns` and `publicKey`."""

    token = "platform:lab:Network"  # noqa: S105
    inputs = ("lab", "cidr", "domain", "hosts", "forwards")
    replacing = frozenset({"lab", "cidr", "domain"})
    made = ("sshConfig", "netns", "publicKey")

    def make(self, inputs: Values, ctx: Context) -> Values:
        """Make the namespace, or change its names and forwards; machines notice nothing."""
        del ctx
        made = network.ensure(
            inputs["lab"],
            inputs["cidr"],
            inputs["hosts"],
            domain=inputs["domain"],
            forwards={int(port): target for port, target in inputs["forwards"].items()},
        )
        return {"sshConfig": str(made.ssh_config), "netns": made.netns, "publicKey": made.public_key}

    def read(self, id: str, inputs: Values, outputs: Values, ctx: Context) -> tuple[Values, Values]:
        """Say when the namespace is gone, as after a reboot of this workstation."""
        del id, ctx
        return inputs, _found(outputs, missing=not network.exists(inputs["lab"]))

    def remove(self, outputs: Values) -> None:
        """Remove namespace, name service and forwards, and what a killed run made and did not record."""
        connections.close()
        private.close_connections()
        whole.remove_unrecorded(outputs["lab"])
        network.delete(outputs["lab"])


class Machine(_Part):
    """Inputs `lab`, `name`, `address`, `cidr`, `domain`, `binds`, `guest`; outputs `hostKey` and `instance`.

    `guest` (`memoryMib`, `drivesMib`) is there for a machine with a kernel of its own.
    """

    token = "platform:lab:Machine"  # noqa: S105
    inputs = ("lab", "name", "address", "cidr", "domain", "binds", "guest")
    replacing = frozenset(inputs)
    made = ("hostKey", "instance")

    def check(self, olds: Values, news: Values) -> tuple[Values, list[Failure]]:
        """Refuse a guest where QEMU is not installed, before anything is made."""
        news, failures = super().check(olds, news)
        if news.get("guest") and (why := guest.lacking()):
            failures.append(Failure("guest", why))
        return news, failures

    def name(self, inputs: Values) -> str:
        """`<lab>/<machine>`."""
        return f"{inputs['lab']}/{inputs['name']}"

    def make(self, inputs: Values, ctx: Context) -> Values:
        """Boot the machine; one that is off is started with the disk it had."""
        binds = tuple(Bind(source=source, target=target) for target, source in sorted(inputs["binds"].items()))
        base = _image(inputs, ctx)
        made = machine.create(inputs["lab"], inputs["name"], inputs["address"], base, binds, body=_body(inputs))
        return {"hostKey": made.host_key, "instance": made.instance}

    def read(self, id: str, inputs: Values, outputs: Values, ctx: Context) -> tuple[Values, Values] | None:
        """Say when the machine is off; None where it is gone."""
        del id, ctx
        found = machine.status(inputs["lab"], inputs["name"])
        return None if found == "absent" else (inputs, _found(outputs, missing=found != "running"))

    def remove(self, outputs: Values) -> None:
        """Cut the power and remove the disk; nobody stays connected to it."""
        connections.close(outputs["name"])
        private.close_connections()
        machine.delete(outputs["lab"], outputs["name"])


def _image(inputs: Values, ctx: Context) -> Path:
    """The image of a machine that is there already is the one it began with; a new one gets the newest."""
    if machine.status(inputs["lab"], inputs["name"]) != "absent":
        return Path(machine.load(inputs["lab"], inputs["name"]).image)
    ensure = guest_image.ensure if inputs.get("guest") else image.ensure
    return ensure(lambda line: ctx.log("info", line))


def _body(inputs: Values) -> Guest | None:
    """What the machine is made of, if it is a guest. The engine's numbers are floating point."""
    if found := inputs.get("guest"):
        return Guest(memory_mib=int(found["memoryMib"]), drives_mib=tuple(map(int, found["drivesMib"])))
    return None


def _found(outputs: Values, *, missing: bool) -> Values:
    kept = {name: value for name, value in outputs.items() if name != "missing"}
    return {**kept, "missing": True} if missing else kept


def _said(act: Callable[[], Any]) -> Any:
    """Do it; what the library refuses becomes the answer to the engine."""
    try:
        return act()
    except LabError as error:
        raise HandlerError(str(error)) from error
