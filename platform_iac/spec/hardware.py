"""What machines are made of, and the catalog of those with a name.

The catalog is data: one file per machine in `spec/catalog/`, each with the public data sheet it was
read from. A pool names one (`hardware: dgx-h100`) or changes one (`hardware: {like: dgx-h100,
memory_gib: 1024}`).
"""

from __future__ import annotations

import re
from functools import cache
from pathlib import Path
from typing import Annotated, Any, Final, Literal, Self

from pydantic import AfterValidator, BeforeValidator, Discriminator, Field, WithJsonSchema, model_validator
from ruamel.yaml import YAML

from platform_iac.spec.base import Model, setting
from platform_iac.spec.hostlist import HostlistError, expand
from platform_iac.spec.references import suggestion
from platform_iac.spec.types import Label, SafeText, wrong

CATALOG: Final = Path(__file__).parent / "catalog"

INTERFACE: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.]{0,14}")
"""What a network interface may be called: Linux takes 15 characters; the rest is for files and shells."""

Count = Annotated[int, Field(ge=1, le=4096)]
Gib = Annotated[int, Field(ge=1, le=1_048_576)]
Gbps = Annotated[int, Field(ge=1, le=3200)]


class Gpu(Model):
    """Identical GPUs of one host."""

    kind: Literal["gpu"] = setting(impact="replace", description="A GPU.")
    model: Label = setting(impact="drain", description="Short name: the type that jobs ask for (`--gres=gpu:h100:2`).")
    product: SafeText = setting(impact="none", description="The name that `nvidia-smi` shows.")
    count: Count = setting(impact="replace", description="GPUs per host.")
    memory_gib: Gib = setting(impact="replace", description="Memory of one GPU.")
    mig_slices: int = setting(
        0, ge=0, le=7, impact="none", description="Most MIG instances one GPU can be split into; 0 where it cannot."
    )
    nvswitch: bool = setting(
        default=False,
        impact="drain",
        description="The GPUs are joined by NVSwitch, which needs NVIDIA's fabric manager.",
    )


class Fpga(Model):
    """Identical FPGA cards of one host."""

    kind: Literal["fpga"] = setting(impact="replace", description="An FPGA card.")
    model: Label = setting(impact="drain", description="Short name: the type that jobs ask for.")
    product: SafeText = setting(impact="none", description="The vendor's name for it.")
    count: Count = setting(impact="replace", description="Cards per host.")
    memory_gib: Gib = setting(impact="replace", description="Memory of one card.")


class Asic(Model):
    """Identical accelerators that are no GPU: TPUs and other chips for one purpose."""

    kind: Literal["asic"] = setting(impact="replace", description="A TPU or another chip for machine learning.")
    family: Label = setting(impact="replace", description="What it is: tpu, gaudi, inferentia, …")
    model: Label = setting(impact="drain", description="Short name: the type that jobs ask for.")
    product: SafeText = setting(impact="none", description="The vendor's name for it.")
    count: Count = setting(impact="replace", description="Chips per host.")
    memory_gib: Gib = setting(impact="replace", description="Memory of one chip.")


class Dpu(Model):
    """Identical data processing units (smart NICs) of one host."""

    kind: Literal["dpu"] = setting(impact="replace", description="A data processing unit.")
    model: Label = setting(impact="drain", description="Short name.")
    product: SafeText = setting(impact="none", description="The vendor's name for it.")
    count: Count = setting(impact="replace", description="Cards per host.")
    ports: int = setting(2, ge=1, le=4, impact="replace", description="Network ports of one card.")
    rate_gbps: Gbps = setting(impact="replace", description="Speed of one port.")


Accelerator = Annotated[Gpu | Fpga | Asic | Dpu, Discriminator("kind")]


def _devices(text: str) -> str:
    try:
        expand(text, most=64)
    except HostlistError as error:
        raise wrong(str(error)) from error
    return text


class Nics(Model):
    """Identical network ports of one host."""

    kind: Literal["infiniband", "ethernet"] = setting(impact="replace", description="What the ports speak.")
    purpose: Literal["compute", "storage", "management"] = setting(
        impact="drain", description="The network they belong to: rails of the fabric, storage, or management."
    )
    product: SafeText = setting(impact="none", description="The vendor's name for the adapter.")
    devices: Annotated[str, Field(max_length=200), AfterValidator(_devices)] = setting(
        impact="reconfigure", description="Device names in rail order, as a hostlist: `mlx5_[0-3]`."
    )
    interfaces: Annotated[str, Field(max_length=400), AfterValidator(_devices)] | None = setting(
        None,
        impact="drain",
        description="Linux's names of Ethernet ports, in the order of `devices`, where those are RDMA devices: "
        "`enp[24,64]s0np0`.",
    )
    dpu: Literal["nic", "dpu"] | None = setting(
        None,
        impact="drain",
        description="Mode of a BlueField card's ports: adapters of the host, or the card's own; left out, it has none.",
    )
    rate_gbps: Gbps = setting(impact="replace", description="Speed that one port must show; less is a fault.")

    @model_validator(mode="after")
    def _fits(self) -> Self:
        if self.interfaces and len(self.links) != self.count:
            raise wrong(
                f"{len(self.links)} `interfaces` for {self.count} `devices` — name one for each, in the same order"
            )
        if bad := [name for name in self.links if INTERFACE.fullmatch(name) is None]:
            raise wrong(f"{bad[0][:40]!r} is no interface of Linux — 15 letters, digits, `_` and `.` at most")
        return self

    @property
    def links(self) -> tuple[str, ...]:
        """Names of the network interfaces, in rail order; none where the spec does not give them."""
        return expand(self.interfaces) if self.interfaces else ()

    @property
    def names(self) -> tuple[str, ...]:
        """Device names, in rail order."""
        return expand(self.devices)

    @property
    def count(self) -> int:
        """Ports per host."""
        return len(self.names)


class Disks(Model):
    """Identical disks of one host."""

    kind: Literal["nvme", "ssd", "hdd"] = setting(impact="replace", description="What they are.")
    purpose: Literal["system", "data"] = setting(impact="reimage", description="The operating system, or data.")
    count: Count = setting(impact="replace", description="Disks per host.")
    size_gb: int = setting(ge=1, le=1_000_000, impact="replace", description="Size of one in decimal gigabytes.")


class Hardware(Model):
    """One machine, as its data sheet tells it. Cores are physical."""

    sockets: Annotated[int, Field(ge=1, le=16)] = setting(impact="drain", description="CPU sockets.")
    cores_per_socket: Annotated[int, Field(ge=1, le=512)] = setting(impact="drain", description="Cores of one socket.")
    threads_per_core: Annotated[int, Field(ge=1, le=8)] = setting(impact="drain", description="Threads of one core.")
    memory_gib: Gib = setting(impact="drain", description="Memory of the host.")
    accelerators: tuple[Accelerator, ...] = setting((), impact="drain", description="GPUs, FPGAs, ASICs and DPUs.")
    nics: tuple[Nics, ...] = setting((), impact="drain", description="Network ports.")
    disks: tuple[Disks, ...] = setting((), impact="reimage", description="Disks.")

    @property
    def cores(self) -> int:
        """Physical cores of the host."""
        return self.sockets * self.cores_per_socket

    @property
    def threads(self) -> int:
        """Logical CPUs of the host."""
        return self.cores * self.threads_per_core

    @property
    def gpus(self) -> tuple[Gpu, ...]:
        """The accelerators that are GPUs."""
        return tuple(item for item in self.accelerators if isinstance(item, Gpu))

    @property
    def gpu_count(self) -> int:
        """GPUs of the host, of all types."""
        return sum(gpu.count for gpu in self.gpus)

    @property
    def data_drives(self) -> int:
        """NVMe disks of the host that hold data."""
        return sum(disks.count for disks in self.disks if (disks.kind, disks.purpose) == ("nvme", "data"))

    def ports(self, kind: str, purpose: str) -> tuple[str, ...]:
        """Device names of one kind and purpose, in rail order."""
        return tuple(name for nics in self.nics if (nics.kind, nics.purpose) == (kind, purpose) for name in nics.names)


Named = Annotated[str, WithJsonSchema({"type": "string", "enum": sorted(path.stem for path in CATALOG.glob("*.yaml"))})]


def in_catalog(name: str) -> str:
    """Return the name, which is that of a machine of the catalog; a wrong one is refused with the nearest."""
    if name not in catalog():
        raise wrong(
            f"the catalog has no {name[:80]!r} — {suggestion(name, catalog())}there are: {', '.join(catalog())}"
        )
    return name


class Choice(Model):
    """Hardware from the catalog, with what differs."""

    like: Annotated[Named, AfterValidator(in_catalog)] = setting(
        "cpu-server", impact="replace", description="A machine of the catalog."
    )
    sockets: Annotated[int, Field(ge=1, le=16)] | None = setting(None, impact="drain", description="CPU sockets.")
    cores_per_socket: Annotated[int, Field(ge=1, le=512)] | None = setting(
        None, impact="drain", description="Cores of one socket."
    )
    threads_per_core: Annotated[int, Field(ge=1, le=8)] | None = setting(
        None, impact="drain", description="Threads of one core."
    )
    memory_gib: Gib | None = setting(None, impact="drain", description="Memory of the host.")
    accelerators: tuple[Accelerator, ...] | None = setting(
        None, impact="drain", description="GPUs, FPGAs, ASICs and DPUs; the list replaces the catalog's."
    )
    nics: tuple[Nics, ...] | None = setting(
        None, impact="drain", description="Network ports; the list replaces the catalog's."
    )
    disks: tuple[Disks, ...] | None = setting(
        None, impact="reimage", description="Disks; the list replaces the catalog's."
    )

    def resolved(self) -> Hardware:
        """Return the catalog's machine with the changes applied."""
        changes = {
            name: value
            for name in self.model_fields_set
            if name != "like" and (value := getattr(self, name)) is not None
        }
        return catalog()[self.like].model_copy(update=changes)


def _choice(value: Any) -> Any:
    return {"like": value} if isinstance(value, str) else value


HardwareChoice = Annotated[Choice, BeforeValidator(_choice, json_schema_input_type=Named | Choice)]
"""A name of the catalog, or a map with what differs from it."""


@cache
def catalog() -> dict[str, Hardware]:
    """Return every machine of the catalog by name, sorted.

    Raises:
        pydantic.ValidationError: a file of the catalog is wrong; the tests read them all.
    """
    yaml = YAML(typ="safe", pure=True)
    return {path.stem: Hardware.model_validate(yaml.load(path)) for path in sorted(CATALOG.glob("*.yaml"))}
