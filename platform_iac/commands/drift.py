"""`platform-iac drift`: ask every host of some stacks, and say what differs from what was applied."""

from __future__ import annotations

import json as text
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from platform_iac.commands import check_fabric, layout, state
from platform_iac.commands.errors import BAD_INPUT, FAILED, CommandError, bad_input
from platform_iac.commands.pulumi import EngineError, captured, export, select
from platform_iac.plan.make import make
from platform_iac.review import drift as report
from platform_iac.review import sarif as forge
from platform_iac.review.drift import Found, Seen
from platform_iac.spec.load import load

if TYPE_CHECKING:
    from pathlib import Path


def drift(stacks: Sequence[str], *, json: bool, markdown: bool, sarif: Path | None) -> int:
    """Print what differs; 1 when something does, 2 when a stack could not be asked. `up` mends exactly that.

    One stack that cannot be asked is an error at once; of several the others are still asked.

    Raises:
        EngineError, CommandError: the only stack cannot be asked.
    """
    seen = tuple(_seen(stack, alone=len(stacks) == 1) for stack in stacks)
    found = [each for stack in seen for each in stack.found]
    if sarif is not None:
        results = [
            (f"drift/{each.thing.split()[0]}", f"{each.host}: {each.thing}: {each.said}", f"stacks/{each.stack}.yaml")
            for each in found
        ]
        sarif.write_text(forge.text(results), encoding="utf-8")
    if json:
        print(text.dumps([asdict(each) for each in found], indent=2, ensure_ascii=False))
    elif markdown:
        print(report.markdown(seen, datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC")), end="")
    else:
        print("\n".join(_shown(each, named=len(seen) > 1) for each in seen), end="")
    if any(each.problem for each in seen):
        return BAD_INPUT
    return FAILED if found else 0


def scan(stack: str) -> tuple[Found, ...]:
    """Refresh the stack, look at its cables, and return everything that differs, sorted by host and thing.

    A refresh gives the state a new date, so one that is not the last that was seen here is refused before.

    Raises:
        EngineError: the state is refused, or the refresh did not finish.
    """
    state.guard(stack)
    done = captured("refresh", "--yes", "--skip-preview", "--stack", stack)
    if done.returncode != 0:
        raise EngineError(f"pulumi refresh of {stack} did not finish: {(done.stderr or done.stdout).strip()[-2000:]}")
    resources = export(stack)["deployment"].get("resources", [])
    found = [*_found(stack, resources), *_cables(stack)]
    return tuple(sorted(found, key=lambda each: (each.host, each.thing)))


def _seen(stack: str, *, alone: bool) -> Seen:
    try:
        load(stack)
        select(stack, quiet=True)
        return Seen(stack=stack, found=scan(stack))
    except bad_input() as error:
        if alone:
            raise
        return Seen(stack=stack, problem=str(error))


def _found(stack: str, resources: list[dict[str, Any]]) -> Iterator[Found]:
    for resource in resources:
        name = str(resource["urn"]).rsplit("::", 1)[1]
        outputs = resource.get("outputs") or {}
        for host, things in (outputs.get("drift") or {}).items():
            for thing, said in things.items():
                yield Found(stack=stack, host=host, thing=thing, said=said, resource=name)
        for host, why in (outputs.get("failed") or {}).items():
            yield Found(stack=stack, host=host, thing=f"role {name}", said=f"was not applied: {why}", resource=name)
        for host in (outputs.get("leftovers") or {}).keys() - (outputs.get("failed") or {}).keys():
            yield Found(stack=stack, host=host, thing=f"role {name}", said="has left something there", resource=name)
        if outputs.get("missing"):
            kind = str(resource["type"]).rsplit(":", 1)[1].lower()
            host = str(outputs.get("name", ""))
            yield Found(stack=stack, host=host, thing=f"{kind} {name}", said="is gone", resource=name)


def _cables(stack: str) -> Iterator[Found]:
    """Yield what is wrong with the cables of an InfiniBand fabric; one that does not answer is no clean one."""
    fabric = make(load(stack)).fabric
    if fabric is None or fabric.kind != "infiniband":  # nothing on an Ethernet's hosts says where its cables are
        return
    try:
        compared, _ = check_fabric.compared(stack, fabric)
    except CommandError as error:
        yield Found(stack=stack, host="fabric", thing="fabric", said=f"not asked: {error}", resource="fabric")
        return
    for finding in compared.findings:
        thing = f"{finding.kind} {finding.where}"
        yield Found(stack=stack, host="fabric", thing=thing, said=finding.text, resource="fabric")


def _shown(seen: Seen, *, named: bool) -> str:
    return (f"{seen.stack}\n" if named else "") + (
        f"not asked: {seen.problem}\n" if seen.problem else table(seen.found)
    )


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
