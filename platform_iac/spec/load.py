"""Read a spec: from a file to a `Platform`, or to every error it has.

Reading goes document → overlay → shape → rules. Files are read here and nowhere later; nothing
else is touched.
"""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from pydantic import ValidationError

from platform_iac.spec import document, overlay, rules, wording
from platform_iac.spec.errors import Mark, Problem, SpecError, SpecNotFoundError
from platform_iac.spec.model import Platform
from platform_iac.spec.references import suggestion

if TYPE_CHECKING:
    from platform_iac.spec.document import Node

STACKS: Final = Path(__file__).resolve().parents[2] / "stacks"
_FILE_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]*\.ya?ml")
_SECTIONS = ("sites", "pools", "storage", "services", "teams")


def stacks() -> tuple[str, ...]:
    """Return the names of the stacks there are, sorted; a file whose name begins with `_` is a base of others."""
    return tuple(sorted(path.stem for path in STACKS.glob("*.yaml") if not path.name.startswith(("Pulumi.", "_"))))


def locate(stack: str | Path) -> Path:
    """Return the file of a stack: a path as it is, a name as `stacks/<name>.yaml`.

    Relative files that a spec names begin at this file's folder.
    """
    if isinstance(stack, Path) or "/" in stack or stack.endswith((".yaml", ".yml")):
        return Path(stack)
    return STACKS / f"{stack}.yaml"


def load(stack: str | Path) -> Platform:
    """Return the platform that a stack's name or a path to a spec describes.

    Raises:
        SpecError: with everything that is wrong. `SpecNotFoundError` where there is no such file.
    """
    path = locate(stack)
    if path.parent == STACKS and path.stem not in stacks():
        hint = f"{suggestion(path.stem, stacks())}stacks: {', '.join(stacks())}"
        raise SpecNotFoundError([Problem(f"there is no stack {path.stem[:80]!r} — {hint}")])
    tree, problems = _with_bases(path, ())
    return _platform(tree, problems, folder=path.parent)


def loads(source: str | bytes, file: str = "<text>") -> Platform:
    """Return the platform that a text describes; `file` is what its errors call it.

    Raises:
        SpecError: with everything that is wrong.
    """
    data = source if isinstance(source, bytes) else source.encode("utf-8", errors="surrogatepass")
    tree, problems = document.read(data, file)
    return _platform(tree, problems, folder=None)


def from_data(data: dict[str, Any]) -> Platform:
    """Return the platform that plain data describes, checked as a file is; errors have no places.

    Raises:
        SpecError: with everything that is wrong.
    """
    return loads(json.dumps(data), "<data>")


def _with_bases(path: Path, chain: tuple[Path, ...]) -> tuple[Node | None, list[Problem]]:
    """Read a file and what it extends. `chain` are the files that led here, outermost first."""
    tree, problems = document.read(_bytes(path), str(_shown(path)))
    if tree is None or not isinstance(tree.value, dict) or "extends" not in tree.value:
        return tree, problems
    named, mark = tree.value.pop("extends"), tree.keys.pop("extends")
    if complaint := _unusable(named.value, path, (*chain, path)):
        return None, [*problems, Problem(complaint, ("extends",), mark)]
    base, more = _with_bases(path.parent / str(named.value), (*chain, path))
    if base is None:
        return None, [*problems, *more]
    merged, conflicts = overlay.merge(base, tree)
    return merged, [*problems, *more, *conflicts]


def _shown(path: Path) -> Path:
    """The path as errors name it: from the working directory where it is below."""
    return path.relative_to(Path.cwd()) if path.is_absolute() and path.is_relative_to(Path.cwd()) else path


def _unusable(name: Any, path: Path, chain: tuple[Path, ...]) -> str:
    """Why `name` cannot be extended, or nothing."""
    if not isinstance(name, str) or not _FILE_NAME.fullmatch(name):
        return "this is no file beside this one — write a file name such as base.yaml, without a folder"
    base = path.parent / name
    if not base.is_file():
        return f"there is no file `{name}` beside this one — check the name"
    if base.resolve().parent != path.parent.resolve():
        return f"`{name}` leads out of this folder — copy the file here"
    if base.resolve() in {link.resolve() for link in chain}:
        return f"`{name}` extends itself in a circle — take one `extends` out"
    if len(chain) > overlay.LONGEST_CHAIN:
        return f"more than {overlay.LONGEST_CHAIN} files extend each other — merge some of them"
    return ""


def _bytes(path: Path) -> bytes:
    try:
        if not path.is_file():
            what = "is no file" if path.exists() else "does not exist"
            raise SpecNotFoundError(
                [Problem(f"{path} {what} — name a stack ({', '.join(stacks())}) or a path to a spec")]
            )
        with path.open("rb") as file:
            return file.read(document.MOST_BYTES + 1)
    except (OSError, ValueError) as error:
        if isinstance(error, SpecError):
            raise
        message = f"{str(path)!r} cannot be read ({error}) — check the path and its mode"
        raise SpecNotFoundError([Problem(message)]) from error


def _platform(tree: Node | None, problems: list[Problem], *, folder: Path | None) -> Platform:
    if tree is None:
        raise SpecError(problems)
    if not isinstance(tree.value, dict):
        not_a_map = Problem("a spec is a map — begin with `apiVersion: platform-iac/v1`", mark=tree.mark)
        raise SpecError([*problems, not_a_map])
    data = tree.plain()
    if (crowd := rules.too_many(data)) is not None:
        raise SpecError([*problems, Problem(crowd.message, crowd.path, tree.keys["pools"])])
    context: dict[str, Any] = {section: _keys(data.get(section)) for section in _SECTIONS} | {"folder": folder}
    platform, found = _shaped(data, context)
    if platform is not None:
        found += rules.check(platform)
    problems += [placed for problem in found if (placed := _placed(problem, tree)) is not None]
    if problems or platform is None:
        raise SpecError(problems)
    return platform


def _shaped(data: dict[str, Any], context: dict[str, Any]) -> tuple[Platform | None, list[Problem]]:
    """Return the platform and the errors of shape.

    With errors, the platform is what remains without the entries that have them, so that rules can
    still speak about the rest; None when nothing sensible remains.
    """
    try:
        return _validate(data, context), []
    except ValidationError as error:
        found = wording.problems(error, Platform)
    rest = {key: dict(value) if isinstance(value, dict) else value for key, value in data.items()}
    for problem in found:
        section, *below = problem.path or ("",)
        if section in ("apiVersion", "name"):
            rest |= {"apiVersion": "platform-iac/v1", "name": "unnamed"}
        elif section in _SECTIONS and below and isinstance(rest.get(str(section)), dict):
            rest[str(section)].pop(below[0], None)
        else:
            rest.pop(str(section), None)
    try:
        return _validate(rest, context), found
    except ValidationError:
        return None, found


def _validate(data: dict[str, Any], context: dict[str, Any]) -> Platform:
    return Platform.model_validate(data, strict=True, context=context)


def _keys(section: Any) -> dict[str, None]:
    return dict.fromkeys(section) if isinstance(section, dict) else {}


def _placed(problem: Problem, tree: Node) -> Problem | None:
    """Return the problem with its place in the file; None when what it is about was reported already."""
    mark: Mark = tree.mark
    node = tree
    for depth, key in enumerate(problem.path):
        below: Node | None = None
        if isinstance(node.value, dict) and key in node.value:
            mark, below = node.keys[str(key)], node.value[key]
        elif isinstance(node.value, list) and isinstance(key, int) and key < len(node.value):
            below = node.value[key]
            mark = below.mark
        if below is None:
            break
        if below.broken:
            return None
        if depth == len(problem.path) - 1 and not isinstance(below.value, (dict, list)):
            mark = below.mark
        node = below
    return Problem(problem.message, problem.path, mark)
