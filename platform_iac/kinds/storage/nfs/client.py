"""The run of everything that mounts NFS: units, tuning, and GPUDirect Storage where the platform has it."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Final

from platform_iac.kinds.storage import _shared
from platform_iac.kinds.storage.nfs import options, rules, server
from platform_iac.plan.context import PlanError
from platform_iac.plan.model import File, Run, Unit
from platform_iac.plan.render import render

if TYPE_CHECKING:
    from collections.abc import Mapping

    from platform_iac.kinds.storage.nfs.spec import Spec
    from platform_iac.plan.context import Context
    from platform_iac.plan.model import Host

SYSTEMD: Final = "/etc/systemd/system"
GPUDIRECT: Final = ("nvidia-gds",)
"""NVIDIA's packages for GPUDirect Storage: kernel module, libcufile and gdscheck (NVIDIA GDS, installation guide)."""


def runs(entries: Mapping[str, Spec], context: Context) -> tuple[Run, ...]:
    """Return a run `nfs_client_<duty>` for each duty that mounts something: hosts of one duty mount the same."""
    duties = sorted({duty for spec in entries.values() for duty in spec.mounted_by})
    return tuple(
        _run(duty, hosts, {name: spec for name, spec in entries.items() if duty in spec.mounted_by}, context)
        for duty in duties
        if (hosts := context.with_duty(duty))
    )


def _run(duty: str, hosts: tuple[Host, ...], own: Mapping[str, Spec], context: Context) -> Run:
    files, own_files = _shared.split({host.name: _files(host, own, context) for host in hosts})
    values = {host.name: _values(host, own, context) for host in hosts}
    common = {key: value for key, value in values[hosts[0].name].items() if _same(key, values)}
    differ = {name: {k: v for k, v in every.items() if k not in common} for name, every in values.items()}
    return Run(
        name=f"nfs_client_{duty}",
        role="nfs_client",
        hosts=tuple(host.name for host in hosts),
        packages=("nfs-common",),
        files=files,
        host_files=own_files,
        units=tuple(_unit(spec) for spec in sorted(own.values(), key=_mount)),
        vars=common,
        host_vars={name: every for name, every in differ.items() if every},
        needs=("base",),
        after=("gpu", "nfs_server"),
        before=_shared.WAITING,
    )


def _same(key: str, values: Mapping[str, Mapping[str, Any]]) -> bool:
    every = [value.get(key) for value in values.values()]
    return all(value == every[0] for value in every)


def _mount(spec: Spec) -> str:
    return spec.mount


def _unit(spec: Spec) -> Unit:
    name = _shared.unit_of(spec.mount)
    return Unit(name=name, restart_on=(f"{SYSTEMD}/{name}",))


def _files(host: Host, own: Mapping[str, Spec], context: Context) -> tuple[File, ...]:
    ahead = max(options.read_ahead_kib(spec) for spec in own.values())
    paths = sorted(spec.mount for spec in own.values())
    files = [
        File(path="/etc/nfs.conf.d/platform-client.conf", content=render("nfs_client", "nfs.conf.j2", ahead=ahead)),
        File(path="/etc/modprobe.d/platform-nfs.conf", content=render("nfs_client", "modprobe.conf.j2")),
        File(path=f"{SYSTEMD}/slurmd.service.d/nfs.conf", content=render("nfs_client", "needs.conf.j2", paths=paths)),
    ]
    for name, spec in own.items():
        text = render(
            "nfs_client",
            "nfs.mount.j2",
            spec=spec,
            source=options.source(name, spec, rules.server_of(name, spec, context), host),
            options=options.options(name, spec, host),
        )
        files.append(File(path=f"{SYSTEMD}/{_shared.unit_of(spec.mount)}", content=text))
    if any(spec.transport == "rdma" for spec in own.values()):
        files.append(File(path="/etc/modules-load.d/platform-nfs.conf", content="rpcrdma\n"))
    if direct := _direct(host, own, context):
        table: dict[str, dict[str, list[str]]] = {path: {"rdma_dev_addr_list": []} for path in direct}
        text = json.dumps({"properties": {"allow_compat_mode": True}, "fs": {"nfs": {"mount_table": table}}}, indent=1)
        files.append(File(path="/etc/cufile.json", content=text + "\n"))
        files.append(File(path="/etc/modules-load.d/platform-gpudirect.conf", content="nvidia-fs\n"))
    return tuple(files)


def _direct(host: Host, own: Mapping[str, Spec], context: Context) -> list[str]:
    """The mounts whose data goes straight into the GPUs of a host: none on a twin, whose GPUs are doubles."""
    if not host.hardware.gpu_count or getattr(context.spec.sites[host.site], "gpus", "") == "simulated":
        return []
    return sorted(spec.mount for spec in own.values() if spec.gpudirect)


def _values(host: Host, own: Mapping[str, Spec], context: Context) -> dict[str, Any]:
    makes = {spec.mount: spec for spec in own.values() if spec.server and spec.server.folders_by == host.name}
    return {
        "proofs": {spec.mount: options.proof(name, spec, host) for name, spec in sorted(own.items())},
        **({"folders": server.folders(makes, context, parents=False)} if makes else {}),
        **({"gpudirect_packages": GPUDIRECT} if _direct(host, own, context) else {}),
    }


def check_folders(entries: Mapping[str, Spec], context: Context) -> None:
    """Refuse a maker of folders that does not mount.

    Raises:
        PlanError: names the storage and the hosts that could.
    """
    for name, spec in entries.items():
        clients = [host.name for host in spec.clients(context)]
        if spec.server and spec.server.folders_by and spec.server.folders_by not in clients:
            raise PlanError(
                f"storage.{name}.server.folders_by: `{spec.server.folders_by}` does not mount it — name one of: "
                f"{', '.join(clients[:10])}"
            )
