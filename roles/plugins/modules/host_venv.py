#!/usr/bin/python
"""Make a Python environment that holds exactly what was asked for, or remove it."""

from __future__ import annotations

import hashlib
import html
import io
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import urllib.request
import zipfile
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urljoin, urlsplit

from ansible.module_utils.basic import AnsibleModule

DOCUMENTATION = r"""
module: host_venv
short_description: Make a Python environment from a package index, quickly
description:
  - The environment is made anew whenever the requirements or the host's interpreter change; otherwise nothing is done,
    and the index is not asked. A file of the environment says what it was made from; it is written last, so an
    interrupted installation is done again.
  - What is there stays until the same packages have been installed beside it once, and were imported there - an index
    that does not answer, or lacks one, takes nothing from jobs that run.
  - uv installs it, which is several times faster than pip; uv itself comes from the same index and is not kept.
  - Without an index the host needs the Debian package C(python3-venv), whose pip knows the host's own configuration.
options:
  path:
    description: Directory of the environment.
    type: path
    required: true
  requirements:
    description: Requirements, as in C(mlflow==3.17.2). The ones of uv itself are V(uv).
    type: list
    elements: str
    required: true
  index:
    description: Base address of the package index (PEP 503). The host's own configuration decides when it is empty.
    type: str
    default: ""
  imports:
    description:
      - Modules that must import. They are compiled by that, which users of the environment cannot do.
    type: list
    elements: str
    default: []
  state:
    choices: [present, absent]
    default: present
    type: str
"""

RETURN = r"""
replaced:
  description: There was an environment before, and it held something else.
  type: bool
"""

MARK = ".made-of.json"
TIMEOUT_SECONDS = 500


class VenvError(RuntimeError):
    """The environment cannot be made; says why."""


def wanted(requirements: list[str], imports: list[str]) -> dict[str, Any]:
    """Return what the mark of a finished environment says."""
    version = ".".join(str(part) for part in sys.version_info[:3])
    return {"requirements": sorted(requirements), "imports": sorted(imports), "python": version}


def found(path: Path) -> dict[str, Any] | None:
    """Return what the environment says it was made from; None where none is finished."""
    try:
        mark = json.loads((path / MARK).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return mark if isinstance(mark, dict) and os.access(path / "bin" / "python", os.X_OK) else None


def make(path: Path, requirements: list[str], index: str, imports: list[str]) -> None:
    """Make the environment from nothing; what is there goes once the packages are known to install.

    Programs of an environment have its path in them, so it cannot be made beside the old one and moved.

    Raises:
        VenvError: a package is not in the index, or a module does not import.
    """
    with tempfile.TemporaryDirectory(prefix="host-venv-") as folder:
        uv = _uv(Path(folder), index)
        source = ["--index-url", index] if index else []
        install = ["--cache-dir", str(Path(folder) / "cache"), *source, *requirements]
        if path.exists():
            trial = Path(folder) / "trial"
            _fill(uv, trial, ["--link-mode", "hardlink", *install], imports)
            shutil.rmtree(trial)
        remove(path)
        path.parent.mkdir(parents=True, exist_ok=True)
        _fill(uv, path, ["--link-mode", "copy", *install], imports)
    mark = path / MARK
    mark.write_text(json.dumps(wanted(requirements, imports)) + "\n", encoding="utf-8")


def _fill(uv: str, path: Path, install: list[str], imports: list[str]) -> None:
    """Make an environment at a path where nothing is."""
    program = str(path / "bin" / "python")
    run([uv, "venv", "--quiet", "--python", sys.executable or "/usr/bin/python3", str(path)])
    run([uv, "pip", "install", "--quiet", "--only-binary", ":all:", "--python", program, *install])
    if imports:
        run([program, "-c", "".join(f"import {name}\n" for name in imports)])


def remove(path: Path) -> None:
    """Remove the environment."""
    if path.exists():
        shutil.rmtree(path)


def _uv(folder: Path, index: str) -> str:
    """Put uv below `folder`, from the index, and return its program."""
    if not index:
        return _uv_by_pip(folder)
    page = urljoin(f"{index.rstrip('/')}/", "uv/")
    link, member = newest(_get(page).decode(), os.uname().machine)
    wheel = _get(urljoin(page, link))
    digest = re.search(r"#sha256=([0-9a-f]{64})", link)
    if digest and hashlib.sha256(wheel).hexdigest() != digest[1]:
        raise VenvError(f"{link}: it is not what the index says")
    program = folder / "uv"
    try:
        program.write_bytes(zipfile.ZipFile(io.BytesIO(wheel)).read(member))
    except (zipfile.BadZipFile, KeyError) as error:
        raise VenvError(f"{link}: {error}") from error
    program.chmod(0o755)
    return str(program)


def newest(page: str, machine: str) -> tuple[str, str]:
    """Return the link to the newest uv for Debian on this kind of machine, and the program's name in that wheel.

    Raises:
        VenvError: an index's page without one.
    """
    found = []
    for link in map(html.unescape, re.findall(r'href="([^"]+)"', page)):
        name = unquote(urlsplit(link).path).rpartition("/")[2]
        if match := re.fullmatch(rf"uv-([0-9]+(?:\.[0-9]+)*)-py3-none-.*manylinux\w+_{machine}\.whl", name):
            found.append(([int(part) for part in match[1].split(".")], link, f"uv-{match[1]}.data/scripts/uv"))
    if not found:
        raise VenvError(f"the index has no uv for Linux on {machine}")
    return max(found)[1:]


def _get(url: str) -> bytes:
    with urllib.request.urlopen(url, timeout=60) as answer:  # noqa: S310  the address is the platform's own index
        return bytes(answer.read())


def _uv_by_pip(folder: Path) -> str:
    """Install uv with the pip that Debian ships for new environments."""
    wheels = sorted(Path("/usr/share/python-wheels").glob("pip-*.whl"))
    if not wheels:
        raise VenvError("no pip in /usr/share/python-wheels — the package python3-venv brings it")
    words = ["install", "--quiet", "--no-input", "--disable-pip-version-check", "--no-cache-dir", "--no-deps"]
    run([sys.executable, str(wheels[-1] / "pip"), *words, "--only-binary", ":all:", "--target", str(folder), "uv"])
    return str(folder / "bin" / "uv")


def run(command: list[str]) -> None:
    """Run one command.

    Raises:
        VenvError: it failed or took longer than TIMEOUT_SECONDS; with what it said.
    """
    # A caller's PYTHONDONTWRITEBYTECODE would leave every later process to compile for itself.
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", "PIP_", "UV_"))}
    try:
        done = subprocess.run(
            command, capture_output=True, text=True, timeout=TIMEOUT_SECONDS, check=False, env=environment
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise VenvError(str(error)) from error
    if done.returncode != 0:
        raise VenvError(f"{command[0]}: {done.stderr.strip()[-2000:] or done.stdout.strip()[-2000:]}")


def main() -> None:
    """Run as an Ansible module."""
    module = AnsibleModule(
        argument_spec={
            "path": {"type": "path", "required": True},
            "requirements": {"type": "list", "elements": "str", "required": True},
            "index": {"type": "str", "default": ""},
            "imports": {"type": "list", "elements": "str", "default": []},
            "state": {"type": "str", "default": "present", "choices": ["present", "absent"]},
        },
        supports_check_mode=True,
    )
    parameters = module.params
    path = Path(parameters["path"])
    requirements, imports = parameters["requirements"], parameters["imports"]
    before = found(path)
    present = parameters["state"] == "present"
    changed = before != wanted(requirements, imports) if present else path.exists()
    try:
        if changed and not module.check_mode and present:
            make(path, requirements, parameters["index"], imports)
        elif changed and not module.check_mode:
            remove(path)
    except (VenvError, OSError) as error:
        module.fail_json(msg=str(error))
    after = wanted(requirements, imports) if present else None
    diff = {"before": _lines(before), "after": _lines(after)} if changed else {}
    module.exit_json(changed=changed, replaced=changed and before is not None, diff=diff)


def _lines(mark: dict[str, Any] | None) -> str:
    if mark is None:
        return ""
    return "".join(f"{line}\n" for line in (f"python {mark.get('python')}", *mark.get("requirements", [])))


if __name__ == "__main__":
    main()
