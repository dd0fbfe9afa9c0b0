"""`extends`: one spec on top of another, each value keeping the place where it was written.

Maps merge key by key. Lists and scalars replace. `null` takes away what the base has. A map that
names another `kind` replaces the whole map, because the old kind's options mean nothing to it.
"""

from __future__ import annotations

from typing import Final

from platform_iac.spec.document import Node
from platform_iac.spec.errors import Path, Problem

LONGEST_CHAIN: Final = 8


def merge(base: Node, over: Node, path: Path = ()) -> tuple[Node, list[Problem]]:
    """Return `over` laid on `base`, and what cannot be. Both stay as they are."""
    if not isinstance(base.value, dict) or not isinstance(over.value, dict) or _other_kind(base, over):
        return over, []
    entries, keys, problems = dict(base.value), dict(base.keys), []
    for key, node in over.value.items():
        keys[key] = over.keys[key]
        if node.value is None and not node.broken:
            if entries.pop(key, None) is None:
                message = "there is nothing here to take away with `null` — delete the line"
                problems.append(Problem(message, (*path, key), over.keys[key]))
            keys.pop(key)
        elif key in entries:
            entries[key], below = merge(entries[key], node, (*path, key))
            problems += below
        else:
            entries[key] = node
    return Node(entries, over.mark, keys), problems


def _other_kind(base: Node, over: Node) -> bool:
    kinds = (base.value.get("kind"), over.value.get("kind"))
    return all(kind is not None for kind in kinds) and kinds[0].value != kinds[1].value
