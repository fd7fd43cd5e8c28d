"""What an options model says of itself: a row for each option, for the command line and for pages."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from zoo.spec.options import SLOT_MARK, Options


@dataclass(frozen=True)
class OptionRow:
    """`default` is None where the option is required, and where None is the default."""

    name: str
    type: str
    required: bool
    default: Any
    description: str


def option_rows(model: type[Options]) -> list[OptionRow]:
    """The options of `model` in their order."""
    schema = model.model_json_schema()
    required = schema.get("required", [])
    return [
        OptionRow(name, _type(field), name in required, field.get("default"), field.get("description", ""))
        for name, field in schema.get("properties", {}).items()
    ]


def _type(field: dict[str, Any]) -> str:
    kind = field.get(SLOT_MARK)
    if kind:
        return f"a {kind}"
    if "enum" in field:
        return " | ".join(str(value) for value in field["enum"])
    return field.get("type") or " or ".join(part.get("type", "?") for part in field.get("anyOf", []))
