"""One YAML document as a tree in which every value and key knows its place.

Only what a spec needs of YAML 1.2: maps, lists and scalars of the core schema. Anchors, aliases,
tags, directives, merge keys, further documents and keys written twice are refused, and so is text
that a template engine or a shell would read, because values reach host files.

ruamel.yaml scans and parses; types are decided here, so that its YAML 1.1 habits and Python tags
never come into play and hostile documents are stopped before anything is built from them.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from ruamel.yaml import YAML
from ruamel.yaml.error import MarkedYAMLError, YAMLError
from ruamel.yaml.events import (
    AliasEvent,
    DocumentStartEvent,
    MappingEndEvent,
    MappingStartEvent,
    ScalarEvent,
    SequenceEndEvent,
    SequenceStartEvent,
)

from platform_iac.spec.errors import Mark, Path, Problem

if TYPE_CHECKING:
    from collections.abc import Iterator

MOST_BYTES: Final = 1_048_576
MOST_DEPTH: Final = 24
MOST_NODES: Final = 50_000
MOST_DIGITS: Final = 18
"""Numbers stay within 64 bits, so that no later stage rounds them or runs out of memory."""

_UNPRINTABLE = re.compile(
    "[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\u00ad\u061c\u180e\u200b-\u200f\u2028-\u202e\u2060-\u206f"
    "\ud800-\udfff\ufeff\ufff9-\ufffb\ufffe\uffff\U000e0000-\U000e0fff]|\r(?!\n)"
)
"""Control characters but tab and line feed, and marks that are invisible or turn the reading direction."""

_TEMPLATE = re.compile(r"\{\{|\{%|\{#|\$\{|\$\(|`|<%|@@secret/")
_WORDS: Final = {
    **dict.fromkeys(("", "~", "null", "Null", "NULL")),
    **dict.fromkeys(("true", "True", "TRUE"), True),
    **dict.fromkeys(("false", "False", "FALSE"), False),
}
_INTEGER = re.compile(r"[-+]?[0-9]+")
_HEX_OR_OCTAL = re.compile(r"0x[0-9a-fA-F]+|0o[0-7]+")
_FLOAT = re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?")
_NOT_FINITE = re.compile(r"[-+]?\.(inf|Inf|INF)|\.(nan|NaN|NAN)")


@dataclass(slots=True)
class Node:
    """A value with its place: a scalar, a dict of nodes or a list of nodes.

    `keys` has the place of every key of a map. `broken` nodes were reported already and stand for
    nothing, so nobody reports them again.
    """

    value: Any
    mark: Mark
    keys: dict[str, Mark] = field(default_factory=dict)
    broken: bool = False

    def plain(self) -> Any:
        """Return the value as ordinary Python data; lists are tuples, as strict models want them."""
        if isinstance(self.value, dict):
            return {key: node.plain() for key, node in self.value.items()}
        if isinstance(self.value, list):
            return tuple(node.plain() for node in self.value)
        return self.value


class _TooMuchError(Exception):
    """The document passed a bound; reading stops."""


def read(source: bytes, file: str) -> tuple[Node | None, list[Problem]]:
    """Return the document's tree and what is wrong with it. Without a tree nothing could be read.

    `file` is only for the places of problems. Never raises for any bytes.
    """
    if len(source) > MOST_BYTES:
        message = f"the file has more than {MOST_BYTES:,} bytes — split the platform or use hostlists"
        return None, [_problem(file, message)]
    try:
        text = source.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        before = source[: error.start].decode("utf-8", errors="replace")
        return None, [Problem("the file is not UTF-8 here — save it as UTF-8", mark=_place(before, file))]
    unprintable = _unprintable(text, file)
    return (None, unprintable) if unprintable else _tree(text, file)


def _tree(text: str, file: str) -> tuple[Node | None, list[Problem]]:
    builder = _Builder(file, iter(()))
    try:
        builder.events = iter(YAML(typ="safe", pure=True).parse(text))
        return builder.document(), builder.problems
    except _TooMuchError:
        return None, builder.problems
    except MarkedYAMLError as error:
        place = error.problem_mark or error.context_mark
        mark = Mark(file, place.line + 1, place.column + 1) if place else Mark(file, 1, 1)
        return None, [*builder.problems, Problem(_syntax(str(error.problem or error.context)), mark=mark)]
    except (YAMLError, ArithmeticError, AttributeError, IndexError, LookupError, TypeError, ValueError) as error:
        # ruamel's scanner lets these out for malformed escapes, directives and tags
        what = " ".join(str(error).split())[:120] or type(error).__name__
        return None, [*builder.problems, _problem(file, f"the file is no YAML ({what}) — check quotes, escapes and %")]


def _syntax(what: str) -> str:
    """Word a syntax error of ruamel, with the likeliest remedy."""
    what = " ".join(what.split())[:160]
    for part, remedy in (
        ("'\\t'", "indent with spaces, not tabs"),
        ("cannot start any token", "put text that begins with this character in quotes"),
        ("mapping values are not allowed", "put text with a colon in quotes, and check the indentation"),
        ("expected <block end>", "check the indentation of this line and the one above"),
        ("could not find expected ':'", "write `key: value`, or check the indentation"),
        ("unexpected end of stream", "close the quote or bracket"),
        ("expected ',' or", "close the bracket, and put commas between entries"),
    ):
        if part in what:
            return f"this is no YAML: {what} — {remedy}"
    return f"this is no YAML: {what} — check quotes, brackets and indentation"


def _unprintable(text: str, file: str) -> list[Problem]:
    return [
        Problem(
            f"unprintable character U+{ord(match[0]):04X} — delete it, or write what you meant in plain characters",
            mark=_place(text[: match.start()], file),
        )
        for match, _ in zip(_UNPRINTABLE.finditer(text), range(20), strict=False)
    ]


def _place(before: str, file: str) -> Mark:
    """Return the place that follows the text `before`."""
    return Mark(file, before.count("\n") + 1, len(before) - before.rfind("\n"))


def _tag(event: Any) -> str:
    return str(event.tag).replace("tag:yaml.org,2002:", "!!")[:60]


def _problem(file: str, message: str) -> Problem:
    return Problem(message, mark=Mark(file, 1, 1))


@dataclass(slots=True)
class _Builder:
    """Builds the tree from events, collecting problems as it goes."""

    file: str
    events: Iterator[Any]
    problems: list[Problem] = field(default_factory=list)
    nodes: int = 0
    depth: int = 0

    def document(self) -> Node | None:
        root: Node | None = None
        for event in self.events:
            if isinstance(event, DocumentStartEvent):
                if event.version or event.tags:
                    self._wrong(event, (), "directives (`%YAML`, `%TAG`) are not read — delete the line")
                if root is not None:
                    self._wrong(event, (), "a second document begins here — write one spec per file, without `---`")
                    return root
                root = self._node(next(self.events), ())
        if root is None:
            self.problems.append(_problem(self.file, "the file is empty — begin with `apiVersion: platform-iac/v1`"))
        return root

    def _mark(self, event: Any) -> Mark:
        return Mark(self.file, event.start_mark.line + 1, event.start_mark.column + 1)

    def _wrong(self, event: Any, path: Path, message: str) -> None:
        self.problems.append(Problem(message, path, self._mark(event)))

    def _node(self, event: Any, path: Path) -> Node:
        self.nodes += 1
        if self.nodes > MOST_NODES or self.depth > MOST_DEPTH:
            what = f"more than {MOST_NODES:,} values" if self.nodes > MOST_NODES else f"more than {MOST_DEPTH} levels"
            self._wrong(event, path[:4], f"the document has {what} — write it shorter, with hostlists")
            raise _TooMuchError
        mark = self._mark(event)
        if isinstance(event, AliasEvent):
            self._wrong(event, path, f"alias `*{event.anchor}` — write the value out, or use `extends`")
            return Node(None, mark, broken=True)
        if event.anchor is not None:
            self._wrong(event, path, f"anchor `&{event.anchor}` — delete it; specs have no aliases")
        if event.tag is not None:
            self._wrong(event, path, f"tag `{_tag(event)}` — delete it; the spec's fields know their types")
        if not isinstance(event, (MappingStartEvent, SequenceStartEvent)):
            return self._scalar(event, mark, path)
        self.depth += 1
        node = self._map(mark, path) if isinstance(event, MappingStartEvent) else self._list(mark, path)
        self.depth -= 1
        return node

    def _list(self, mark: Mark, path: Path) -> Node:
        items: list[Node] = []
        while not isinstance(event := next(self.events), SequenceEndEvent):
            items.append(self._node(event, (*path, len(items))))
        return Node(items, mark)

    def _map(self, mark: Mark, path: Path) -> Node:
        entries: dict[str, Node] = {}
        keys: dict[str, Mark] = {}
        while not isinstance(event := next(self.events), MappingEndEvent):
            key = self._key(event, path)
            value = self._node(next(self.events), (*path, key) if key else path)
            if key is None:
                continue
            if key in keys:
                first = keys[key]
                self._wrong(event, (*path, key), f"the key is here twice, first in line {first.line} — keep one")
                continue
            entries[key], keys[key] = value, self._mark(event)
        return Node(entries, mark, keys)

    def _key(self, event: Any, path: Path) -> str | None:
        """The key as it is written, or None when it is none; then it has been reported."""
        node = self._node(event, path)
        if node.broken:
            return None
        if not isinstance(event, ScalarEvent) or not event.value:
            self._wrong(event, path, "this key is no plain word — write `key: value`")
            return None
        if event.value == "<<":
            self._wrong(event, path, "merge keys (`<<`) are not read — write the values out, or use `extends`")
            return None
        return str(event.value)

    def _scalar(self, event: Any, mark: Mark, path: Path) -> Node:
        text: str = event.value
        if found := _UNPRINTABLE.search(text):
            self._wrong(event, path, f"unprintable character U+{ord(found[0]):04X} in the text — delete it")
        elif found := _TEMPLATE.search(text):
            message = f"`{found[0]}` is template or shell syntax — write the plain value, specs compute nothing"
            self._wrong(event, path, message)
        elif event.style is not None:
            return Node(text, mark)
        else:
            try:
                return Node(resolve(text), mark)
            except ValueError as error:
                self._wrong(event, path, str(error))
        return Node(None, mark, broken=True)


def resolve(text: str) -> bool | int | float | str | None:
    """Return the value of a plain scalar by the core schema of YAML 1.2.

    `yes`, `on`, `1:30` and dates are text, as in every YAML 1.2.

    Raises:
        ValueError: a number that would be read differently elsewhere, or none that a spec can hold.
    """
    if text in _WORDS:
        return _WORDS[text]
    if _NOT_FINITE.fullmatch(text):
        raise ValueError(f"`{text}` is no number a spec can hold — write a finite one")
    if len(text) > MOST_DIGITS and (_FLOAT.fullmatch(text) or _HEX_OR_OCTAL.fullmatch(text)):
        raise ValueError(f"the number has more than {MOST_DIGITS} digits — write a smaller one, or text in quotes")
    if _INTEGER.fullmatch(text):
        if len(digits := text.lstrip("+-")) > 1 and digits.startswith("0"):
            raise ValueError(f"`{text}` is octal to some and decimal to others — put it in quotes, or drop the zero")
        return int(text)
    if _HEX_OR_OCTAL.fullmatch(text):
        return int(text, 0)
    if _FLOAT.fullmatch(text):
        number = float(text)
        if number in (float("inf"), float("-inf")):
            raise ValueError(f"`{text}` is too large — write a smaller number")
        return number
    return text
