"""Machines: nspawn containers with their own systemd, a disk that stays, and a known host key.

A machine's disk is an overlay over the shared image; its own layer is kept until `delete`. Each
function may be called again after a kill at any point of an earlier call, and then finishes it.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import time
import uuid
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from platform_iac.lab import cgroups, disk, network, paths
from platform_iac.lab.network import Network
from platform_iac.lab.paths import LabError
from platform_iac.lab.process import detach, joining, kept, run
from platform_iac.lab.services import inside

BOOT_SECONDS = 120
# nspawn ends with this status when the machine asked for a reboot; whoever started it starts it again.
REBOOT = 133


@dataclass(frozen=True, slots=True, kw_only=True)
class Bind:
    """A folder of this workstation that the machine sees, read-only unless said otherwise."""

    source: str
    target: str
    writable: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Machine:
    """A machine as its folder remembers it. `instance` is new whenever its disk begins afresh."""

    lab: str
    name: str
    address: str
    image: str
    binds: tuple[Bind, ...]
    host_key: str
    instance: str


def create(lab: str, name: str, address: str, image: Path, binds: Sequence[Bind] = ()) -> Machine:
    """Return the machine, running and answering on ssh with the host key that was planted in it.

    Raises:
        LabError: it is there already with another address, image or binds; or it does not boot.
    """
    net = network.load(lab)
    folder = paths.machine(lab, name)
    with paths.locked(folder.with_name(f".{name}.lock")):
        known = _read(folder)
        if known is None:
            _remove(lab, name)
            known = _prepare(net, name, address, image, tuple(binds))
        asked = (address, str(image), tuple(binds))
        if (known.address, known.image, known.binds) != asked:
            raise LabError(f"{lab}/{name} is there with another address, image or binds — delete it first")
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
    """Return the process that is the machine's own PID 1, None while it is off."""
    for pid in cgroups.processes(lab, name):
        with contextlib.suppress(OSError):
            for line in Path(f"/proc/{pid}/status").read_text(encoding="utf-8").splitlines():
                if line.startswith("NSpid:") and line.split()[2:] == ["1"]:
                    return pid
    return None


def status(lab: str, name: str) -> str:
    """Return `running`, `stopped`, or `absent` (also for one that was only half made)."""
    if _read(paths.machine(lab, name)) is None:
        return "absent"
    return "running" if leader(lab, name) else "stopped"


def start(lab: str, name: str) -> None:
    """Start a machine with the disk it had, and wait until it answers on ssh."""
    with paths.locked(paths.machine(lab, name).with_name(f".{name}.lock")):
        _start(network.load(lab), load(lab, name))


def stop(lab: str, name: str) -> None:
    """Cut the machine's power: SIGKILL to its PID 1, so that nothing in it can tidy up."""
    with paths.locked(paths.machine(lab, name).with_name(f".{name}.lock")):
        cgroups.kill(lab, _keeper(name))
        if pid := leader(lab, name):
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
        return Machine(**{**found, "binds": tuple(Bind(**bind) for bind in found["binds"])})
    return None


def _remove(lab: str, name: str) -> None:
    """Order matters: while `machine.json` goes first, whatever remains counts as half made."""
    folder = paths.machine(lab, name)
    (folder / "machine.json").unlink(missing_ok=True)
    cgroups.remove(lab, _keeper(name))
    cgroups.remove(lab, name)
    disk.remove(folder)


def _prepare(net: Network, name: str, address: str, image: Path, binds: tuple[Bind, ...]) -> Machine:
    """Make the disk with the machine's identity on it."""
    folder = paths.private_dir(paths.machine(net.lab, name))
    disk.mount(folder, image)
    instance = uuid.uuid4()
    host_key = disk.plant(folder / "root", net, name, address, instance)
    made = Machine(
        lab=net.lab,
        name=name,
        address=address,
        image=str(image),
        binds=binds,
        host_key=host_key,
        instance=str(instance),
    )
    paths.write(folder / "machine.json", json.dumps(asdict(made)), 0o600)
    return made


def _publish_keys(lab: str) -> None:
    """Write the host keys of all machines of the lab where its ssh configuration looks for them."""
    with paths.locked(paths.lab(lab) / "known_hosts.lock"):
        found = [_read(paths.machine(lab, name)) for name in names(lab)]
        lines = [f"{known.name},{known.address} {known.host_key}\n" for known in found if known]
        paths.write(paths.lab(lab) / "known_hosts", "".join(lines), 0o600)


def boot_argv(net: Network, known: Machine, root: Path) -> list[str]:
    """The command that is the machine while it runs. `-M` is unique on the workstation; the host name is not."""
    options = [
        "--quiet",
        "--keep-unit",
        "--register=no",
        f"--machine={net.lab}-{known.name}",
        f"--hostname={known.name}",
        f"--directory={root}",
        f"--network-bridge={network.BRIDGE}",
        "--link-journal=no",
        "--resolv-conf=off",
        "--timezone=off",
        "--settings=no",
        "--console=read-only",
    ]
    binds = [f"--bind{'' if bind.writable else '-ro'}={bind.source}:{bind.target}" for bind in known.binds]
    return [*inside(net.lab), "systemd-nspawn", *options, *binds, "--boot"]


def _keeper(name: str) -> str:
    """The cgroup of the shell that starts the machine again; beside the machine's, which version 2 wants empty."""
    return f"_keeper-{name}"


def _start(net: Network, known: Machine) -> None:
    folder = paths.machine(net.lab, known.name)
    if not leader(net.lab, known.name):
        for bind in known.binds:
            if not Path(bind.source).exists():
                raise LabError(f"{net.lab}/{known.name}: {bind.source} is to be bound, and is not there")
        cgroups.remove(net.lab, _keeper(known.name))
        cgroups.remove(net.lab, known.name)
        disk.mount(folder, Path(known.image))
        boot = joining(cgroups.create(net.lab, known.name), boot_argv(net, known, folder / "root"))
        keeper = cgroups.create(net.lab, _keeper(known.name))
        detach(kept(boot, again=REBOOT), cgroups=keeper, log=folder / "console.log")
    _wait(net, known)


def _wait(net: Network, known: Machine) -> None:
    """Wait for a listener on port 22, which costs nothing to ask, then log in once with ssh."""
    end = time.monotonic() + BOOT_SECONDS
    while not _listens(leader(net.lab, known.name), 22):
        if time.monotonic() > end or not cgroups.processes(net.lab, _keeper(known.name)):
            raise _boot_failed(net.lab, known.name, "sshd did not start")
        time.sleep(0.1)
    while True:
        try:
            run(["ssh", "-F", net.ssh_config, known.name, "true"], timeout_seconds=15)
        except LabError as error:
            if time.monotonic() > end or "verification failed" in str(error):
                raise _boot_failed(net.lab, known.name, str(error)) from error
            time.sleep(0.2)
        else:
            return


def _boot_failed(lab: str, name: str, why: str) -> LabError:
    log = paths.machine(lab, name) / "console.log"
    return LabError(f"{lab}/{name} does not answer: {why} — its console is in {log}")


def _listens(pid: int | None, port: int) -> bool:
    """Whether a TCP socket listens (state 0A) on this port in the network of this process."""
    for family in ("tcp", "tcp6") if pid else ():
        with contextlib.suppress(OSError):
            for line in Path(f"/proc/{pid}/net/{family}").read_text(encoding="utf-8").splitlines()[1:]:
                local, state = line.split()[1], line.split()[3]
                if state == "0A" and int(local.rpartition(":")[2], 16) == port:
                    return True
    return False
