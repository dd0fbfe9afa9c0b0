"""Machines: each with its own systemd, a disk that stays, and a known host key.

A machine is a container (`container.py`) or, where it needs a kernel of its own, a QEMU guest (`guest.py`); whoever
logs in sees the same. Its disk is a layer over the shared image and is kept until `delete`. Each function may be
called again after a kill at any point of an earlier call, and then finishes it.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import time
import uuid
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from types import ModuleType

from platform_iac.lab import cgroups, container, disk, guest, network, paths
from platform_iac.lab.container import keeper
from platform_iac.lab.guest import Guest
from platform_iac.lab.network import Network
from platform_iac.lab.paths import LabError
from platform_iac.lab.process import run


@dataclass(frozen=True, slots=True, kw_only=True)
class Bind:
    """A folder of this workstation that the machine sees, read-only unless said otherwise."""

    source: str
    target: str
    writable: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Machine:
    """A machine as its folder remembers it. `instance` is new whenever its disk begins afresh.

    `image` is a root folder, or for a guest what `guest_image.ensure` returns; only containers have binds.
    """

    lab: str
    name: str
    address: str
    image: str
    binds: tuple[Bind, ...]
    host_key: str
    instance: str
    guest: Guest | None = None


def create(
    lab: str, name: str, address: str, image: Path, binds: Sequence[Bind] = (), *, body: Guest | None = None
) -> Machine:
    """Return the machine, running and answering on ssh with the host key that was planted in it.

    Raises:
        LabError: it is there already with another address, image, binds or body; or it does not boot.
    """
    if body and binds:
        raise LabError(f"{lab}/{name} is a guest, which sees no folder of this workstation — leave out its binds")
    net = network.load(lab)
    asked = Machine(
        lab=lab,
        name=name,
        address=address,
        image=str(image),
        binds=tuple(binds),
        host_key="",
        instance=str(uuid.uuid4()),
        guest=body,
    )
    folder = paths.machine(lab, name)
    with paths.locked(folder.with_name(f".{name}.lock")):
        known = _read(folder)
        if known is None:
            _remove(lab, name)
            known = _prepare(net, asked)
        if replace(known, host_key="", instance=asked.instance) != asked:
            raise LabError(f"{lab}/{name} is there with another address, image, binds or body — delete it first")
        _publish_keys(lab)
        _start(net, known)
    return known


def load(lab: str, name: str) -> Machine:
    """Return a machine that `create` made.

    Raises:
        LabError: there is none of that name.
    """
    known = _read(paths.machine(lab, name))
    if known is None:
        raise LabError(f"there is no machine {lab}/{name}")
    return known


def names(lab: str) -> list[str]:
    """The machines of a lab, half-made ones too, sorted."""
    return sorted(path.name for path in (paths.lab(lab) / "machines").glob("[!.]*"))


def leader(lab: str, name: str) -> int | None:
    """Return the process that is a container's own PID 1; None while it is off, and for a guest."""
    return container.leader(lab, name)


def status(lab: str, name: str) -> str:
    """Return `running`, `stopped`, or `absent` (also for one that was only half made)."""
    known = _read(paths.machine(lab, name))
    if known is None:
        return "absent"
    return "running" if _body(known).running(lab, name) else "stopped"


def start(lab: str, name: str) -> None:
    """Start a machine with the disk it had, and wait until it answers on ssh."""
    with paths.locked(paths.machine(lab, name).with_name(f".{name}.lock")):
        _start(network.load(lab), load(lab, name))


def stop(lab: str, name: str) -> None:
    """Cut the machine's power: SIGKILL to its PID 1, or to QEMU, so that nothing in it can tidy up."""
    with paths.locked(paths.machine(lab, name).with_name(f".{name}.lock")):
        cgroups.kill(lab, keeper(name))
        if pid := container.leader(lab, name):
            os.kill(pid, signal.SIGKILL)
        cgroups.kill(lab, name)


def reboot(lab: str, name: str) -> None:
    """Cut the power and start again."""
    stop(lab, name)
    start(lab, name)


def delete(lab: str, name: str) -> None:
    """Remove the machine and everything of it; one that is not there is fine."""
    folder = paths.machine(lab, name)
    if not folder.parent.exists():
        return
    lock = folder.with_name(f".{name}.lock")
    with paths.locked(lock):
        _remove(lab, name)
        if (paths.lab(lab) / "network.json").exists():
            _publish_keys(lab)
        lock.unlink()


def _read(folder: Path) -> Machine | None:
    """The machine that was prepared to the end in this folder; the file is written last."""
    with contextlib.suppress(FileNotFoundError):
        found = json.loads((folder / "machine.json").read_text(encoding="utf-8"))
        found["binds"] = tuple(Bind(**bind) for bind in found["binds"])
        if body := found.get("guest"):
            found["guest"] = Guest(**{**body, "drives_mib": tuple(body["drives_mib"])})
        return Machine(**found)
    return None


def _body(known: Machine) -> ModuleType:
    """The module that knows how a machine of this sort runs."""
    return guest if known.guest else container


def _remove(lab: str, name: str) -> None:
    """Order matters: while `machine.json` goes first, whatever remains counts as half made."""
    folder = paths.machine(lab, name)
    (folder / "machine.json").unlink(missing_ok=True)
    cgroups.remove(lab, keeper(name))
    cgroups.remove(lab, name)
    disk.remove(folder)


def _prepare(net: Network, made: Machine) -> Machine:
    """Make the disk with the machine's identity on it; the host key comes with that."""
    folder = paths.private_dir(paths.machine(net.lab, made.name))
    made = replace(made, host_key=_body(made).prepare(net, made, folder))
    paths.write(folder / "machine.json", json.dumps(asdict(made)), 0o600)
    return made


def _publish_keys(lab: str) -> None:
    """Write the host keys of all machines of the lab where its ssh configuration looks for them."""
    with paths.locked(paths.lab(lab) / "known_hosts.lock"):
        found = [_read(paths.machine(lab, name)) for name in names(lab)]
        lines = [f"{known.name},{known.address} {known.host_key}\n" for known in found if known]
        paths.write(paths.lab(lab) / "known_hosts", "".join(lines), 0o600)


def _start(net: Network, known: Machine) -> None:
    body = _body(known)
    if not body.running(net.lab, known.name):
        cgroups.remove(net.lab, keeper(known.name))
        cgroups.remove(net.lab, known.name)
        body.boot(net, known)
    _wait(net, known)


def _wait(net: Network, known: Machine) -> None:
    """Wait until port 22 answers, which costs little to ask, then log in once with ssh."""
    body = _body(known)
    end = time.monotonic() + body.BOOT_SECONDS
    while not body.answers(net, known):
        if time.monotonic() > end or not body.coming(net.lab, known.name):
            raise _boot_failed(net.lab, known.name, "sshd did not start")
        time.sleep(0.1)
    while True:
        try:
            run(["ssh", "-F", net.ssh_config, known.name, "true"], timeout_seconds=body.LOGIN_SECONDS)
        except LabError as error:
            if time.monotonic() > end or "verification failed" in str(error):
                raise _boot_failed(net.lab, known.name, str(error)) from error
            time.sleep(0.2)
        else:
            return


def _boot_failed(lab: str, name: str, why: str) -> LabError:
    log = paths.machine(lab, name) / "console.log"
    return LabError(f"{lab}/{name} does not answer: {why} — its console is in {log}")
