"""Aligned plain text for people."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from platform_iac.spec.hardware import Disks, Hardware, Nics


def table(title: str, rows: Sequence[tuple[str, ...]]) -> str:
    """Return a title and rows with aligned columns; the empty string for no rows."""
    if not rows:
        return ""
    widths = [max(len(row[column]) for row in rows) for column in range(max(map(len, rows)))]
    lines = ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=False)).rstrip() for row in rows]
    return "\n".join([title, *(f"  {line}" for line in lines)]) + "\n"


def hardware(machine: Hardware) -> str:
    """Return a machine in one line: sockets, threads, memory, accelerators."""
    parts = [
        f"{machine.sockets} x {machine.cores_per_socket} cores ({machine.threads} threads)",
        f"{machine.memory_gib:,} GiB",
        *(f"{item.count} x {item.product}" for item in machine.accelerators),
    ]
    return ", ".join(parts)


def nics(ports: Nics) -> str:
    """Return a host's identical network ports in one line."""
    return f"{ports.count} x {ports.product}, {ports.purpose}: {ports.devices}, {ports.rate_gbps} Gb/s each"


def disks(found: Disks) -> str:
    """Return a host's identical disks in one line."""
    return f"{found.count} x {found.size_gb:,} GB {found.kind}, {found.purpose}"


def size(octets: int) -> str:
    """Return a size as people read it."""
    return f"{octets} B" if octets < 1024 else f"{octets / 1024:.1f} KiB"
