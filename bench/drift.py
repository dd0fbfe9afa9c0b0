"""Asking every host for drift against logging in to each once and doing nothing."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from bench.figure import Figure, median
from bench.specs import lab as spec_of
from bench.stacks import stack
from tests.twin_support.machines import call

NODES = 4


def figures() -> Iterator[Figure]:
    """`pulumi refresh` of a twin against one `ssh HOST true` per host, both as parallel as they are."""
    with tempfile.TemporaryDirectory(prefix="platform-iac-bench-") as folder:
        home = Path(folder)
        spec = home / "bench.yaml"
        spec.write_text(spec_of("bench-drift", NODES, "10.87.3"))
        with stack("bench-drift", spec, home) as made:
            made.up(timeout=1800)
            hosts = len(made.hosts)
            refresh = median(lambda: made.run("refresh", "--yes", "--skip-preview").ok(), times=3)
            logins = median(lambda: _logins(made.ssh_config, made.hosts), times=3)
    yield Figure(
        name="drift scan per host / one bare SSH round trip",
        ours=refresh / hosts,
        plain=logins / hosts,
        method=f"{hosts} hosts: `pulumi refresh` of everything (all roles, engine included) against "
        "`ssh HOST true` to each, eight at a time; both divided by the number of hosts.",
    )


def _logins(config: Path, hosts: tuple[str, ...]) -> None:
    with ThreadPoolExecutor(max_workers=8) as pool:
        for done in pool.map(lambda host: call(["ssh", "-F", str(config), host, "true"], timeout=30), hosts):
            done.ok()
