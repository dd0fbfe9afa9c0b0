"""Faults of a machine's simulated GPUs, for tests of everything that should notice them.

The double of `nvidia-smi` that the role `gpu` installs answers from the file that is written here.
Xid lines go to a file, as machines of a twin share the kernel's log with the workstation.
"""

from __future__ import annotations

import json
import shlex
from dataclasses import dataclass
from datetime import UTC, datetime

from platform_iac.lab import network
from platform_iac.lab.process import run

INVENTORY = "/etc/platform-iac/gpus.json"
FAULTS = "/var/lib/platform-iac/gpu-faults.json"
XID_LOG = "/var/log/platform-iac/xid.log"
UNIT = "simulated-gpus.service"


@dataclass(frozen=True, slots=True)
class Ecc:
    """Memory errors since the driver was loaded. One that could not be corrected condemns the GPU."""

    gpu: int
    uncorrected: int = 1
    corrected: int = 0


@dataclass(frozen=True, slots=True)
class Hot:
    """A GPU at this temperature."""

    gpu: int
    celsius: int


@dataclass(frozen=True, slots=True)
class Xid:
    """An error that the driver reports to the kernel's log, with NVIDIA's number for it."""

    gpu: int
    code: int


@dataclass(frozen=True, slots=True)
class Missing:
    """A GPU that is gone: its device node is removed."""

    gpu: int


Fault = Ecc | Hot | Xid | Missing


def xid_line(host: str, bus_id: str, code: int, at: datetime) -> str:
    """The line that the driver writes, with the time in front as `journalctl --output=short-iso` shows it."""
    domain, bus, device = bus_id.lower().split(".", maxsplit=1)[0].split(":")
    where = f"PCI:{domain[-4:]}:{bus}:{device}"
    when = at.isoformat(timespec="seconds")
    return f"{when} {host} kernel: NVRM: Xid ({where}): {code}, pid='<unknown>', name=<unknown>"


def inject(lab: str, host: str, fault: Fault) -> None:
    """Make a machine's GPU show this fault, in addition to those it has.

    Raises:
        LabError: the machine does not answer, or has no such GPU.
    """
    match fault:
        case Missing(gpu):
            _ssh(lab, host, f"rm /dev/nvidia{int(gpu)}")
        case Xid(gpu, code):
            inventory = json.loads(_ssh(lab, host, f"cat {INVENTORY}"))
            line = xid_line(host, inventory["gpus"][gpu]["bus_id"], code, datetime.now(UTC))
            _ssh(lab, host, f"mkdir -p $(dirname {XID_LOG}) && echo {shlex.quote(line)} >>{XID_LOG}")
        case Ecc() | Hot():
            known = json.loads(_ssh(lab, host, f"if [ -e {FAULTS} ]; then cat {FAULTS}; else echo '{{}}'; fi"))
            _ssh(lab, host, f"install -D -m 0644 /dev/stdin {FAULTS}", stdin=json.dumps(with_fault(known, fault)))


def with_fault(known: dict[str, dict[str, int]], fault: Ecc | Hot) -> dict[str, dict[str, int]]:
    """The content of the faults file with one fault more: by number of the device node."""
    if isinstance(fault, Ecc):
        shown = {"ecc_uncorrected": fault.uncorrected, "ecc_corrected": fault.corrected}
    else:
        shown = {"temperature": fault.celsius}
    return {**known, str(fault.gpu): {**known.get(str(fault.gpu), {}), **shown}}


def clear(lab: str, host: str) -> None:
    """Take all faults of a machine's GPUs away."""
    _ssh(lab, host, f"rm -f {FAULTS} {XID_LOG} && systemctl restart {UNIT}")


def _ssh(lab: str, host: str, command: str, stdin: str = "") -> str:
    config = network.load(lab).ssh_config
    return run(["ssh", "-F", config, host, command], stdin=stdin, timeout_seconds=30)
