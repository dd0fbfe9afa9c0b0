"""`platform-iac explain`: everything about one host, in one place."""

from __future__ import annotations

from typing import TYPE_CHECKING

from platform_iac.commands import layout
from platform_iac.commands.errors import CommandError
from platform_iac.plan.make import make
from platform_iac.spec.load import load
from platform_iac.spec.references import suggestion

if TYPE_CHECKING:
    from platform_iac.plan.model import File, Host, Plan, Run


def explain(stack: str, host: str, *, files: bool) -> int:
    """Print what the plan holds for `host`; with `files` also the text of each file."""
    plan = make(load(stack))
    print(about(plan, find(plan, host)), end="")
    if files:
        for run in _runs(plan, host):
            for file in files_of(run, host):
                print(f"\n--- {file.path}  ({run.name})\n{file.content}", end="")
    return 0


def find(plan: Plan, name: str) -> Host:
    """Return the host of this name.

    Raises:
        CommandError: there is none; with the likeliest one.
    """
    names = [host.name for host in plan.hosts]
    if name not in names:
        raise CommandError(f"{plan.name} has no host {name!r} — {suggestion(name, names)}`plan` lists all hosts")
    return plan.host(name)


def files_of(run: Run, host: str) -> list[File]:
    """Return the files that a run puts on a host, by path; the host's own before the common one."""
    merged = {file.path: file for file in (*run.files, *run.host_files.get(host, ()))}
    return [merged[path] for path in sorted(merged)]


def about(plan: Plan, host: Host) -> str:
    """Return everything about one host."""
    runs = _runs(plan, host.name)
    files = [(run.name, file) for run in runs for file in files_of(run, host.name)]
    parts = [
        layout.table(
            host.name,
            [
                ("name", host.fqdn),
                ("address", host.address),
                ("site", f"{host.site} ({next(site.kind for site in plan.sites if site.name == host.site)})"),
                ("pool", host.pool),
                ("duty", host.duty),
                ("hardware", layout.hardware(host.hardware)),
                *(("network", layout.nics(nics)) for nics in host.hardware.nics),
                *(("disks", layout.disks(disks)) for disks in host.hardware.disks),
            ],
        ),
        layout.table("Roles, in order", [_role(number, run) for number, run in enumerate(runs, 1)]),
        layout.table("Packages", [(run.name, " ".join(run.packages)) for run in runs if run.packages]),
        layout.table("Units", [(run.name, " ".join(unit.name for unit in run.units)) for run in runs if run.units]),
        layout.table("People", [(user.name, str(user.uid), user.shell) for run in runs for user in run.users]),
        layout.table(
            "Files",
            [_file(run, file) for run, file in sorted(files, key=lambda pair: pair[1].path)],
        ),
        layout.table("Endpoints", [(at.name, str(at.port)) for at in plan.endpoints if at.host == host.name]),
        layout.table("Checks", [(check.name,) for check in plan.checks if check.host == host.name]),
    ]
    return "\n".join(part for part in parts if part)


def _runs(plan: Plan, host: str) -> list[Run]:
    return [run for run in plan.runs if host in run.hosts]


def _role(number: int, run: Run) -> tuple[str, ...]:
    secrets = f"secrets: {', '.join(run.secrets)}" if run.secrets else ""
    return (f"{number}.", run.name, f"role {run.role}", secrets)


def _file(run: str, file: File) -> tuple[str, ...]:
    size = layout.size(len(file.content.encode()))
    return (file.path, file.mode, f"{file.owner}:{file.group}", size, f"by {run}")
