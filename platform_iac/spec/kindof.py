"""The field type "any kind of this family", made from the kind files that are there."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from pydantic_core import PydanticCustomError, core_schema

from platform_iac import kinds

if TYPE_CHECKING:
    from pydantic import BaseModel, GetCoreSchemaHandler, GetJsonSchemaHandler
    from pydantic.json_schema import JsonSchemaValue


@dataclass(frozen=True, slots=True)
class KindOf:
    """Marks a field as the `Spec` of one kind of `family`, told apart by its key `kind`."""

    family: str

    def specs(self) -> dict[str, type[BaseModel]]:
        """The `Spec` of every kind of the family, by the kind's name."""
        return {kind: module.Spec for kind, module in kinds.family(self.family).items()}

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> core_schema.CoreSchema:
        choices: dict[Any, core_schema.CoreSchema] = {
            kind: handler.generate_schema(spec) for kind, spec in self.specs().items()
        }
        if not choices:
            return core_schema.no_info_plain_validator_function(self._refuse)
        return core_schema.tagged_union_schema(choices, discriminator="kind")

    def __get_pydantic_json_schema__(
        self, schema: core_schema.CoreSchema, handler: GetJsonSchemaHandler
    ) -> JsonSchemaValue:
        return handler(schema) if self.specs() else {"not": {}}

    def _refuse(self, value: Any) -> Any:
        what = value.get("kind", "") if isinstance(value, dict) else ""
        message = f"there is no {self.family} kind {str(what)[:60]!r}, nor any other yet — leave it out"
        raise PydanticCustomError("spec", "{message}", {"message": message})
