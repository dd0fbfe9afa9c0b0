"""The language of specs as JSON Schema, for editors: `python -m platform_iac.spec.schema` writes it.

Two files: `platform.schema.json` for a whole spec, and `overlay.schema.json` for one that `extends`
another, and for a base that is not whole: nothing is required and `null` takes away. Every field says its `x-impact`.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Final

from platform_iac.spec.load import STACKS
from platform_iac.spec.model import Platform

WHOLE: Final = STACKS / "platform.schema.json"
OVERLAY: Final = STACKS / "overlay.schema.json"


def whole() -> dict[str, Any]:
    """Return the schema of a spec that stands alone."""
    schema = Platform.model_json_schema()
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **schema}


def overlay() -> dict[str, Any]:
    """Return the schema of a spec that extends another."""
    schema: dict[str, Any] = _relaxed(whole())
    description = "The spec this one changes, in the same folder."
    schema["properties"]["extends"] = {"type": "string", "description": description}
    return schema


def _relaxed(schema: Any) -> Any:
    """Drop what only a whole spec must fulfil."""
    if isinstance(schema, list):
        return [_relaxed(item) for item in schema]
    if not isinstance(schema, dict):
        return schema
    result: dict[str, Any] = {}
    for key, value in schema.items():
        if key == "properties":
            result[key] = {name: {"anyOf": [_relaxed(field), {"type": "null"}]} for name, field in value.items()}
        elif key == "additionalProperties" and isinstance(value, dict):
            result[key] = {"anyOf": [_relaxed(value), {"type": "null"}]}
        elif key == "oneOf":  # without `kind`, several kinds may fit
            result["anyOf"] = _relaxed(value)
        elif key not in ("required", "discriminator", "minProperties"):
            result[key] = _relaxed(value)
    return result


def texts() -> dict[Path, str]:
    """Return both files with what they should hold."""
    return {
        path: json.dumps(schema, indent=1, sort_keys=True, ensure_ascii=False) + "\n"
        for path, schema in ((WHOLE, whole()), (OVERLAY, overlay()))
    }


def write() -> None:
    """Write both files."""
    for path, text in texts().items():
        path.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    write()
