"""Data flows one way: an earlier stage never imports a later one, and planning needs neither Pulumi nor Ansible."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

PACKAGE = Path(__file__).resolve().parents[1] / "platform_iac"

MAY_IMPORT = {
    "fabric": {"fabric"},
    "spec": {"spec", "kinds"},
    "plan": {"spec", "fabric", "plan", "kinds"},
    "kinds": {"spec", "fabric", "plan", "kinds"},
    "components": {"spec", "plan", "kinds", "components", "lab"},
    "lab": {"lab"},
    "provider": {"provider", "lab"},
    "checks": {"spec", "fabric", "plan", "checks"},
    "review": {"spec", "review"},
    "promotion": {"spec", "promotion"},
    "doctor": {"doctor", "lab"},
    "commands": {"spec", "fabric", "plan", "kinds", "checks", "review", "promotion", "lab", "commands", "doctor"},
    "cli": {"commands"},
    "__main__": {"spec", "plan", "components"},
    "__init__": set(),
}
"""Which stages each stage's modules import when they are imported."""

LATER = {"kinds": {"components"}}
"""What a stage may import inside a function: a site kind's `build` declares resources."""

PURE = ("spec", "fabric", "plan", "kinds", "review")
WORLD = {"pulumi", "ansible", "ansible_runner", "paramiko", "grpc", "subprocess", "socket", "requests", "urllib"}
"""What a pure stage has no use for: it touches no network and no host."""


def modules() -> list[Path]:
    return sorted(path for path in PACKAGE.rglob("*.py"))


def stage(path: Path) -> str:
    return path.relative_to(PACKAGE).parts[0].removesuffix(".py")


def imports(path: Path) -> Iterator[tuple[str, bool]]:
    """Every absolute module name that a file imports, and whether only a function or a type checker does so."""
    tree = ast.parse(path.read_text(encoding="utf-8"))

    def walk(node: ast.AST, *, inside: bool) -> Iterator[tuple[str, bool]]:
        for child in ast.iter_child_nodes(node):
            if isinstance(child, ast.Import):
                yield from ((alias.name, inside) for alias in child.names)
            elif isinstance(child, ast.ImportFrom):
                assert child.level == 0, f"{path}: relative imports hide the direction"
                assert child.module
                yield child.module, inside
                yield from ((f"{child.module}.{alias.name}", inside) for alias in child.names)
            else:
                typing = isinstance(child, ast.If) and "TYPE_CHECKING" in ast.unparse(child.test)
                function = isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef)
                if not typing:
                    yield from walk(child, inside=inside or function)

    return walk(tree, inside=False)


def test_every_module_belongs_to_a_known_stage() -> None:
    assert {stage(path) for path in modules()} <= MAY_IMPORT.keys()


@pytest.mark.parametrize("path", modules(), ids=lambda path: str(path.relative_to(PACKAGE)))
def test_a_stage_imports_only_what_comes_before_it(path: Path) -> None:
    own = stage(path)
    for name, inside in imports(path):
        parts = name.split(".")
        if parts[0] != "platform_iac" or len(parts) == 1:
            continue
        if parts[1] not in MAY_IMPORT:
            continue  # an object of the package itself, not a stage
        allowed = MAY_IMPORT[own] | (LATER.get(own, set()) if inside else set())
        assert parts[1] in allowed, f"{own} imports {name}"


@pytest.mark.parametrize("path", [path for path in modules() if stage(path) in PURE], ids=str)
def test_pure_stages_do_not_reach_into_the_world(path: Path) -> None:
    reached = {name.split(".")[0] for name, inside in imports(path) if not (inside and stage(path) == "kinds")}
    assert not reached & WORLD


def test_loading_and_planning_imports_neither_pulumi_nor_ansible() -> None:
    program = (
        "import sys, platform_iac.plan.make, platform_iac.spec.load as load\n"
        "platform_iac.plan.make.make(load.load('lab'))\n"
        "print(sorted({'pulumi', 'ansible', 'paramiko', 'grpc'} & sys.modules.keys()))"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=False)
    assert done.stdout.strip() == "[]", done.stdout + done.stderr


def test_roles_know_nothing_of_the_program() -> None:
    for path in sorted((PACKAGE.parent / "roles").rglob("*.py")):
        assert not {name for name, _ in imports(path) if name.startswith("platform_iac")}, path


def test_no_child_of_the_package_has_the_name_of_a_library() -> None:
    # With `main: platform_iac` the package's folder comes first on the import path of the Pulumi program.
    taken = sys.stdlib_module_names | {"pulumi", "ansible", "kubernetes", "grpc", "yaml", "jinja2", "pydantic"}
    names = {path.name.removesuffix(".py") for path in PACKAGE.iterdir() if path.suffix in ("", ".py")}
    assert not (names - {"__init__", "__main__", "__pycache__"}) & taken
