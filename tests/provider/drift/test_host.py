"""What is sent to hosts as text needs nothing there but Python 3.9 and its standard library."""

from __future__ import annotations

import ast
import sys
from pathlib import Path

import pytest
from ruamel.yaml import YAML

from platform_iac.provider.drift import scan
from platform_iac.provider.runner import owner

ROLES = Path(__file__).resolve().parents[3] / "roles"
ASKED = [
    next(iter([*ROLES.glob(f"{path.parents[1].name}/library/{name}.py"), ROLES / "plugins" / "modules" / f"{name}.py"]))
    for path in sorted(ROLES.glob("*/meta/drift.yml"))
    for name in YAML(typ="safe").load(path)
]
SENT = [*sorted(scan.HOST.glob("*.py")), Path(owner.__file__), *ASKED]


@pytest.mark.parametrize("path", SENT, ids=lambda path: path.stem)
def test_it_runs_on_an_old_python_without_anything_installed(path: Path) -> None:
    tree = ast.parse(path.read_text(encoding="utf-8"), feature_version=(3, 9))
    names = {alias.name for node in ast.walk(tree) if isinstance(node, ast.Import) for alias in node.names}
    names |= {str(node.module) for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)}
    own = {name for name in names if name.startswith(scan.PACKAGE) or name == scan.WITHOUT_ANSIBLE[0]}
    assert {name.partition(".")[0] for name in names - own} <= sys.stdlib_module_names


def test_every_module_of_the_folder_is_sent_and_after_what_it_imports() -> None:
    sent = [name for name, _ in scan.modules({"hosts": {}}, "here")]
    assert set(sent[1:]) == {f"{scan.PACKAGE}.{path.stem}" for path in scan.HOST.glob("*.py")} - {
        f"{scan.PACKAGE}.__init__"
    }
    assert sent[-1].endswith(".probe")
    assert scan.modules({"role": "slurm_controller", "files": {"/a": {}}, "hosts": {"here": {}}}, "here")[1][0] == (
        "role.slurm_running"
    )
