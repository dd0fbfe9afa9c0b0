"""`platform-iac schema`: the JSON Schema by which editors complete and check specs."""

from __future__ import annotations

from platform_iac.spec import schema as specs


def schema() -> int:
    """Print the schema of a whole spec; both schemas also lie beside the stacks."""
    print(specs.texts()[specs.WHOLE], end="")
    return 0
