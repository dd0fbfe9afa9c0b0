"""Faults of a twin's simulated fabric: pulled and misplaced cables, switches without power.

ibsim is told on its console, on the host that plays the fabric. Nodes are named by their ids in the
simulated fabric (`S-<guid>`, `H-<guid>`), as only GUIDs are unique there.
"""

from __future__ import annotations

import re
import shlex

from platform_iac.lab import network
from platform_iac.lab.paths import LabError
from platform_iac.lab.process import run

PROGRAM = "/usr/local/libexec/platform-iac/fabric-simulator"
_NODE = re.compile(r"[SH]-[0-9a-f]{16}")


def unplug(lab: str, server: str, node: str, port: int) -> None:
    """Pull the cable out of a node's port; both its ends go down."""
    tell(lab, server, f'Unlink "{_known(node)}"[{int(port)}]')


def plug(lab: str, server: str, node: str, port: int) -> None:
    """Put the cable that was pulled out of a node's port back."""
    tell(lab, server, f'ReLink "{_known(node)}"[{int(port)}]')


def connect(lab: str, server: str, one: tuple[str, int], other: tuple[str, int]) -> None:
    """Lay a cable between two free ports (node, number), wherever it should be."""
    (node, port), (peer, peer_port) = one, other
    tell(lab, server, f'Link "{_known(node)}"[{int(port)}] "{_known(peer)}"[{int(peer_port)}]')


def power_off(lab: str, server: str, node: str) -> None:
    """Take a node's power: all its ports go down."""
    tell(lab, server, f'Unlink "{_known(node)}"')


def power_on(lab: str, server: str, node: str) -> None:
    """Give a node its power back, with the cables that it had."""
    tell(lab, server, f'ReLink "{_known(node)}"')


def tell(lab: str, server: str, command: str) -> str:
    """Have ibsim obey a command of its console and return its answer.

    Raises:
        LabError: the simulator does not answer, or refuses; with its words.
    """
    config = network.load(lab).ssh_config
    answer = run(["ssh", "-F", config, server, f"{PROGRAM} console {shlex.quote(command)}"], timeout_seconds=30)
    if answer.lstrip().startswith("#") or "not found" in answer:
        raise LabError(f"the fabric simulator refuses {command!r}: {answer.strip()}")
    return answer


def _known(node: str) -> str:
    if not _NODE.fullmatch(node):
        raise LabError(f"{node!r} is no node id of the simulated fabric — it is S- or H- and 16 digits")
    return node
