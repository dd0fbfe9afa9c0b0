"""Golden plans: the plan of every stack, as JSON that reads well in a diff.

`python -m tests.plan.golden` writes them anew after a change that is meant; the diff of
`tests/plan/golden/` is then part of the review.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from platform_iac.plan.export import value
from platform_iac.plan.make import make
from platform_iac.spec.load import STACKS, load, stacks

FOLDER = Path(__file__).parent / "golden"


def text(stack: str) -> str:
    """Return the golden text of a stack: file contents line by line, paths relative to the stacks."""
    plan = json.dumps(_lines(value(make(load(stack)))), indent=1, sort_keys=True, ensure_ascii=False)
    return plan.replace(f"{STACKS}/", "") + "\n"


def path(stack: str) -> Path:
    """Return the golden file of a stack."""
    return FOLDER / f"{stack}.json"


def _lines(part: Any) -> Any:
    if isinstance(part, dict):
        return {key: _entry(key, found) for key, found in part.items()}
    return [_lines(item) for item in part] if isinstance(part, list) else part


def _entry(key: str, found: Any) -> Any:
    """Texts line by line; of the many parts of a fabric, each on one line."""
    if key == "content" and isinstance(found, str):
        return found.split("\n")
    if key in ("switches", "adapters", "cables"):
        return [" ".join(f"{name}={value}" for name, value in sorted(one.items()) if value) for one in found]
    return _lines(found)


def write() -> None:
    """Write the golden plan of every stack, and remove those of stacks that are gone."""
    FOLDER.mkdir(exist_ok=True)
    for file in FOLDER.glob("*.json"):
        if file.stem not in stacks():
            file.unlink()
    for stack in stacks():
        path(stack).write_text(text(stack), encoding="utf-8")


if __name__ == "__main__":
    write()
