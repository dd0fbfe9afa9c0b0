"""`pulumi up` of a twin against the same roles run by plain `ansible-playbook`: first, and again."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Iterator
from pathlib import Path

from bench.figure import Figure, once
from bench.specs import lab as spec_of
from bench.stacks import stack
from platform_iac.commands.ansible import export
from tests.twin_support import machines
from tests.twin_support.ansible import PLAYBOOK
from tests.twin_support.machines import Lab, call

NODES = 3
FIRST_SECONDS = 1800


def figures() -> Iterator[Figure]:
    """Two twins of one spec, one after the other: the first by Pulumi, the second by plain Ansible."""
    with tempfile.TemporaryDirectory(prefix="platform-iac-bench-") as folder:
        home = Path(folder)
        spec = home / "bench.yaml"
        spec.write_text(spec_of("bench", NODES, "10.87.1"))
        with machines.lab(spec_of("bench", NODES, "10.87.2")) as other:
            ansible_first, ansible_again = _ansible(other, home / "ansible")
        with stack("bench", spec, home) as ours:
            first = once(lambda: ours.up(timeout=FIRST_SECONDS))
            again = once(ours.up)
    yield Figure(
        name="first `pulumi up` / first plain ansible-playbook",
        ours=first,
        plain=ansible_first,
        method="The machines of the stack `lab` twice, once each. Pulumi's figure includes making the machines, "
        "Ansible's does not: it found them running. Packages were downloaded before.",
    )
    yield Figure(
        name="no-op `pulumi up` / plain ansible-playbook again",
        ours=again,
        plain=ansible_again,
        method="The same machines directly afterwards, nothing changed; wall clock of the whole command.",
    )


def _ansible(lab: Lab, folder: Path) -> tuple[float, float]:
    """Return the seconds of a first and of a second playbook over all runs of the plan."""
    export(lab.plan, folder, {site.name: lab.ssh_config for site in lab.plan.sites})
    secrets = folder / "secrets.json"
    secrets.touch(mode=0o600)
    secrets.write_text(json.dumps(lab.secrets))
    env = {"PLATFORM_IAC_SECRETS": str(secrets)}

    def play() -> None:
        call([str(PLAYBOOK), "site.yml"], timeout=FIRST_SECONDS, cwd=folder, env=env).ok()

    return once(play), once(play)
