"""Pulumi's property values on the wire, as plain JSON and back.

On the wire a secret is an object with a signature and an unknown value is a reserved string. In the
provider both are simple: secrets are bare values plus the names of the properties that hold them,
and whatever is not known yet in a preview is `UNKNOWN`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from google.protobuf.struct_pb2 import NULL_VALUE, Struct, Value

SIGNATURE: Final = "4dabf18193072939515e22adb298388d"
SECRET: Final = "1b47061264138c4ac30d75fd1eb44270"  # noqa: S105  a constant of Pulumi's wire format
OUTPUT: Final = "d0e6a833031e9bbcd3f4e8bde6ca49a4"
UNKNOWN_TEXT: Final = "04da6b54-80e4-46f7-96ec-b56ff0331ba9"
UNKNOWN_TEXTS: Final = frozenset(
    {
        UNKNOWN_TEXT,
        "1c4a061d-8072-4f0a-a4cb-0ff528b18fe7",  # bool
        "3eeb2bf0-c639-47a8-9e75-3b44932eb421",  # number
        "6a19a0b0-7e62-4c92-b797-7f8e31da9cc2",  # array
        "030794c1-ac77-496b-92df-f27374a8bd58",  # asset
        "e48ece36-62e2-4504-bad9-02848725956a",  # archive
        "dd056dcd-154b-4c76-9bd3-c8f88648b5ff",  # object
    }
)


class Unknown:
    """A value that will be known only when the change is made."""

    def __repr__(self) -> str:
        return "UNKNOWN"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Unknown)

    def __hash__(self) -> int:
        return hash(UNKNOWN_TEXT)


UNKNOWN: Final = Unknown()


@dataclass(slots=True)
class Decoded:
    """Properties as plain JSON. `secrets` names the top-level properties that hold one anywhere."""

    values: dict[str, Any]
    secrets: set[str] = field(default_factory=set)


def decode(struct: Struct) -> Decoded:
    """Return the properties of a message; those that are null are left out."""
    result = Decoded({})
    for name, value in struct.fields.items():
        found: list[bool] = []
        plain = _plain(value, found)
        if plain is not None:
            result.values[name] = plain
        if found:
            result.secrets.add(name)
    return result


def encode(values: Mapping[str, Any], secrets: Iterable[str] = ()) -> Struct:
    """Return a message with these properties; those named in `secrets` are marked as secret."""
    marked = frozenset(secrets)
    struct = Struct()
    for name, value in values.items():
        target = struct.fields[name]
        if name in marked:
            target.struct_value.fields[SIGNATURE].string_value = SECRET
            target = target.struct_value.fields["value"]
        _fill(target, value)
    return struct


def known(value: Any) -> bool:
    """Whether nothing in `value` is `UNKNOWN`."""
    if isinstance(value, Unknown):
        return False
    if isinstance(value, dict):
        return all(known(item) for item in value.values())
    if isinstance(value, list):
        return all(known(item) for item in value)
    return True


def _plain(value: Value, found: list[bool]) -> Any:
    kind = value.WhichOneof("kind")
    if kind == "string_value":
        text = value.string_value
        return UNKNOWN if text in UNKNOWN_TEXTS else text
    if kind == "struct_value":
        fields = value.struct_value.fields
        if SIGNATURE in fields:
            return _special(fields, found)
        return {name: _plain(item, found) for name, item in fields.items()}
    if kind == "list_value":
        return [_plain(item, found) for item in value.list_value.values]
    if kind == "number_value":
        number = value.number_value
        return int(number) if number.is_integer() else number
    return value.bool_value if kind == "bool_value" else None


def _special(fields: Mapping[str, Value], found: list[bool]) -> Any:
    signature = fields[SIGNATURE].string_value
    if signature == OUTPUT:
        if "secret" in fields and fields["secret"].bool_value:
            found.append(True)
        return _plain(fields["value"], found) if "value" in fields else UNKNOWN
    if signature == SECRET:
        found.append(True)
        return _plain(fields["value"], found)
    raise ValueError("assets, archives and resource references are no property of this provider's resources")


def _fill(target: Value, value: Any) -> None:
    if isinstance(value, Unknown):
        target.string_value = UNKNOWN_TEXT
    elif isinstance(value, str):
        target.string_value = value
    elif isinstance(value, bool):
        target.bool_value = value
    elif isinstance(value, (int, float)):
        target.number_value = value
    elif isinstance(value, Mapping):
        fields = target.struct_value.fields
        target.struct_value.SetInParent()
        for name, item in value.items():
            _fill(fields[name], item)
    elif isinstance(value, (list, tuple)):
        target.list_value.SetInParent()
        for item in value:
            _fill(target.list_value.values.add(), item)
    elif value is None:
        target.null_value = NULL_VALUE
    else:
        raise TypeError(f"{type(value).__name__} cannot be a property")
