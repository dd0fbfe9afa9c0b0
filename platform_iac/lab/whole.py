"""All of a lab at once, by its name alone: for what no record knows, as after a kill."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

from platform_iac.lab import machine, mirror, network

AT_ONCE = 16


def remove(lab: str) -> None:
    """Remove the machines, the network and the mirror of a lab; half-made ones too. One that is not there is fine.

    Raises:
        LabError: something of it survives, or the network namespace is not this lab's.
    """
    remove_machines(lab)
    network.delete(lab)
    mirror.delete(lab)


def remove_unrecorded(lab: str) -> None:
    """Remove what a killed run left of a lab whose recorded machines are gone: machines, and a mirror half made."""
    remove_machines(lab)
    if mirror.published(lab) is None:
        mirror.delete(lab)


def remove_machines(lab: str) -> None:
    """Remove every machine of a lab."""
    with ThreadPoolExecutor(AT_ONCE) as pool:
        list(pool.map(lambda name: machine.delete(lab, name), machine.names(lab)))
