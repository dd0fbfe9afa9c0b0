"""`platform-iac drift`: ask every host, and say what differs from what was applied."""

from __future__ import annotations

import json as text
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from platform_iac.commands import layout
from platform_iac.commands.errors import FAILED
from platform_iac.commands.pulumi import EngineError, captured, export, select
from platform_iac.review import sarif as forge
from platform_iac.spec.load import load

if TYPE_CHECKING:
    from pathlib import Path


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """One thing on one host that is not as it was applied; `said` may have a diff in further lines."""

    host: str
    thing: str
    said: str
    resource: str


def drift(stack: str, *, json: bool, sarif: Path | None) -> int:
    """Print what differs; 1 when something does. The next `up` mends exactly that."""
    load(stack)
    select(stack, quiet=True)
    found = scan(stack)
    if sarif is not None:
        results = [(f"drift/{each.thing.split()[0]}", f"{each.host}: {each.thing}: {each.said}") for each in found]
        sarif.write_text(forge.text(results, f"stacks/{stack}.yaml"), encoding="utf-8")
    if json:
        print(text.dumps([asdict(each) for each in found], indent=2, ensure_ascii=False))
    else:
        print(table(found), end="")
    return FAILED if found else 0


def scan(stack: str) -> tuple[Found, ...]:
    """Refresh the stack and return everything that differs, sorted by host and thing.

    Raises:
        EngineError: the refresh did not finish.
    """
    done = captured("refresh", "--yes", "--skip-preview", "--stack", stack)
    if done.returncode != 0:
        raise EngineError(f"pulumi refresh of {stack} did not finish: {(done.stderr or done.stdout).strip()[-2000:]}")
    resources = export(stack)["deployment"].get("resources", [])
    return tuple(sorted(_found(resources), key=lambda each: (each.host, each.thing)))


def _found(resources: list[dict[str, Any]]) -> Iterator[Found]:
    for resource in resources:
        name = str(resource["urn"]).rsplit("::", 1)[1]
        outputs = resource.get("outputs") or {}
        for host, things in (outputs.get("drift") or {}).items():
            for thing, said in things.items():
                yield Found(host=host, thing=thing, said=said, resource=name)
        if outputs.get("missing"):
            kind = str(resource["type"]).rsplit(":", 1)[1].lower()
            yield Found(host=str(outputs.get("name", "")), thing=f"{kind} {name}", said="is gone", resource=name)


def table(found: tuple[Found, ...]) -> str:
    """Return one line a thing, and below it what its diff says."""
    if not found:
        return "No host differs from what was applied.\n"
    rows = [(each.host, each.thing, each.said.splitlines()[0]) for each in found]
    more = [
        f"\n{each.host}: {each.thing}\n" + "".join(f"  {line}\n" for line in each.said.splitlines()[1:])
        for each in found
        if len(each.said.splitlines()) > 1
    ]
    return layout.table(f"{len(found)} differ", rows) + "".join(more)
