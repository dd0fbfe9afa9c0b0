"""Preview of a large spec against a Pulumi program that declares nothing."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path

from bench.figure import Figure, median
from bench.specs import write_onprem
from bench.stacks import new_stack
from tests.twin.stack import TOP
from tests.twin_support.machines import call

NODES = 1024


def figures() -> Iterator[Figure]:
    """`pulumi preview` of a new platform of `NODES` GPU nodes; no host is reached for it."""
    with tempfile.TemporaryDirectory(prefix="platform-iac-bench-") as folder:
        home = Path(folder)
        large = new_stack("large", write_onprem(NODES, home), home / "large")
        empty = _empty(home / "empty", large.env)
        plain = median(lambda: call(empty, timeout=60, env=large.env).ok(), times=3)
        ours = median(lambda: large.run("preview").ok(), times=3)
    yield Figure(
        name=f"pulumi preview of {NODES:,} GPU nodes / of an empty program",
        ours=ours,
        plain=plain,
        method="Median of 3, wall clock of the CLI, file backend, same venv; all is new, so every file is shown.",
    )


def _empty(project: Path, env: dict[str, str]) -> list[str]:
    """Make a project whose program is empty, with a stack, and return the command that previews it."""
    project.mkdir(parents=True)
    runtime = f"runtime: {{name: python, options: {{toolchain: pip, virtualenv: {TOP / '.venv'}}}}}"
    (project / "Pulumi.yaml").write_text(f"name: empty\n{runtime}\n")
    (project / "__main__.py").write_text('"""Nothing."""\n')
    pulumi = ["pulumi", "--cwd", str(project), "--non-interactive"]
    init = [*pulumi, "stack", "init", "empty", "--secrets-provider", "passphrase"]
    call(init, timeout=60, env=env).ok()
    return [*pulumi, "preview", "--stack", "empty"]
