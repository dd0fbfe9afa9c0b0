"""Who may mount what: exports(5) of the kernel's NFS server, and Ganesha's blocks."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from ipaddress import ip_network

from policies.parse.lines import joined


@dataclass(frozen=True, slots=True)
class Export:
    """One export to one client; the empty client is everyone. Options in lower case."""

    path: str
    client: str
    options: frozenset[str]


@dataclass(slots=True)
class Block:
    """A block of Ganesha's configuration: its settings in lower case, and the blocks inside."""

    name: str
    settings: dict[str, str] = field(default_factory=dict)
    blocks: list[Block] = field(default_factory=list)


def kernel(text: str) -> Iterator[Export]:
    """Yield the exports of an exports(5) file.

    `host (rw)` with a space is two clients, the second of them everyone; `-rw` holds for the rest of the line.
    """
    for line in joined(text):
        words = re.findall(r"\"[^\"]*\"\S*|\S+", re.sub(r"(^|\s)#.*", "", line))
        if not words:
            continue
        path, common, clients = words[0].strip('"'), frozenset[str](), 0
        for word in words[1:]:
            if word.startswith("-"):
                common = _options(word[1:])
                continue
            clients += 1
            client, _, rest = word.partition("(")
            yield Export(path, client, common | _options(rest.rstrip(")")))
        if not clients:
            yield Export(path, "", common)


def _options(text: str) -> frozenset[str]:
    return frozenset(part.strip().lower() for part in text.split(",") if part.strip())


def ganesha(text: str) -> Block:
    """Return a Ganesha configuration as one block without a name."""
    bare = re.sub(r"#[^\n]*", "", text)
    top = Block("")
    stack = [top]
    for found in re.finditer(r"\s*([^{};]*)([{};])", bare):
        words, end = found[1].strip(), found[2]
        if end == "{":
            block = Block(words.lower())
            stack[-1].blocks.append(block)
            stack.append(block)
        elif end == "}":
            stack = stack[:-1] or [top]
        elif "=" in words:
            name, _, value = words.partition("=")
            stack[-1].settings[name.strip().lower()] = value.strip().strip('"')
    return top


def everyone(client: str) -> bool:
    """Whether a client is more than a site: no name, a bare wildcard, or a network of fewer than 8 bits."""
    bare = client.strip().strip('"')
    if bare in ("", "*", "*.*") or re.fullmatch(r"[*?.]+", bare):
        return True
    try:
        return ip_network(bare, strict=False).prefixlen < 8
    except ValueError:
        return False
