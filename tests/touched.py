"""Run the tests on machines that a change can break: `python -m tests.touched BASE [PYTEST'S OPTIONS]`.

A role or a kind touches the tests that name it, a test's helper those beside it. Documents, policies and the review
touch none. All else, the provider say, touches every one, as does a role that no test names.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path

TOP = Path(__file__).resolve().parents[1]
TOGETHER = "tests/twin/acceptance"
"""Its modules run in order, on one lab."""

NAMED = re.compile(r"roles/(?P<role>[a-z0-9_]+)/|platform_iac/kinds/[a-z]+/(?P<kind>[a-z][a-z0-9_]*)(?:\.py|/)")
OF_ALL = ("plugins",)
NONE = re.compile(
    r".*\.md|docs/|policies/|bench/|\.github/|\.gitlab-ci\.yml|\.gitignore|LICENSE|evidence/|platform_iac/review/"
    r"|stacks/(?!lab\.yaml)|tools/(audit|check|comment|evidence|lock|release\.py)$|tests/(?!twin_support/|twin/)"
)


def touched(changed: Iterable[str], modules: Mapping[str, str]) -> tuple[str, ...]:
    """Return the test modules (or the folder of those that belong together) that these changed files can break.

    `modules` is the text of every module with tests on machines, by its path.
    """
    found: set[str] = set()
    for path in changed:
        if path in modules:
            found.add(path)
        elif beside := {module for module in modules if path.startswith("tests/") and _beside(path, module)}:
            found |= beside
        elif (name := _name(path)) and (naming := _naming(name, modules)):
            found |= naming
        elif not NONE.match(path):
            found |= modules.keys()
    return tuple(sorted({TOGETHER if path.startswith(f"{TOGETHER}/") else path for path in found}))


def _beside(path: str, module: str) -> bool:
    """Whether a helper or a double is in the folder of a module, or above it."""
    return module.startswith(f"{path.rpartition('/')[0]}/")


def _name(path: str) -> str:
    match = NAMED.match(path)
    name = (match["role"] or match["kind"]) if match else ""
    return "" if name in OF_ALL else name


def _naming(name: str, modules: Mapping[str, str]) -> set[str]:
    word = re.compile(rf"\b{re.escape(name)}\b")
    return {path for path, text in modules.items() if word.search(text)}


def on_machines(top: Path = TOP) -> dict[str, str]:
    """Return the text of every module with tests on machines, by its path."""
    texts = {str(path.relative_to(top)): path.read_text("utf-8") for path in (top / "tests").rglob("test_*.py")}
    return {path: text for path, text in texts.items() if "pytest.mark.twin" in text}


def changed_since(base: str, top: Path = TOP) -> list[str]:
    """Return the files that differ from a git revision, the working tree's included."""
    argv = ["git", "diff", "--name-only", "--no-renames", "--end-of-options", base, "--"]
    return subprocess.run(argv, cwd=top, capture_output=True, text=True, check=True, timeout=60).stdout.splitlines()


def main(base: str, *options: str) -> int:
    """Run them, in this process's place; 0 where there are none."""
    chosen = touched(changed_since(base), on_machines())
    if not chosen:
        sys.stdout.write(f"nothing that changed since {base} is tested on machines\n")
        return 0
    sys.stdout.write(f"tests on machines for what changed since {base}: {' '.join(chosen)}\n")
    sys.stdout.flush()
    return os.execvp("pytest", ["pytest", "-m", "twin", *options, *chosen])


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
