"""Turns pydantic's errors into one clear line each: what was found, what was expected, what to do."""

from __future__ import annotations

import math
from collections.abc import Collection, Iterator
from types import NoneType, UnionType
from typing import TYPE_CHECKING, Any, Union, get_args, get_origin

from pydantic_core import InitErrorDetails, PydanticCustomError

from zoo.errors import nearest

if TYPE_CHECKING:
    from pydantic import BaseModel, ValidationError

_EXPECTED = {
    "int_type": "a whole number",
    "int_from_float": "a whole number",
    "float_type": "a number",
    "bool_type": "true or false",
    "string_type": "text",
    "list_type": "a list",
    "tuple_type": "a list",
    "dict_type": "a mapping",
    "finite_number": "a finite number",
    "none_required": "null",
}
_BOUND = {
    "greater_than": ("gt", "greater than"),
    "greater_than_equal": ("ge", "at least"),
    "less_than": ("lt", "less than"),
    "less_than_equal": ("le", "at most"),
}


def error_at(loc: tuple[int | str, ...], message: str, value: Any, *, at_key: bool = False) -> InitErrorDetails:
    """An error detail whose message is final. `at_key` points at the key of `loc` rather than its value."""
    kind = "zoo_key" if at_key else "zoo"
    # The text goes in as a parameter: braces in it must not be read as a template.
    return InitErrorDetails(type=PydanticCustomError(kind, "{message}", {"message": message}), loc=loc, input=value)


def shown(value: Any) -> str:
    """A value as an error shows it: short, on one line, with its type where that is the point."""
    if isinstance(value, dict):
        return "a mapping"
    if isinstance(value, (list, tuple)):
        return "a list"
    if value is None:
        return "nothing"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)
    text = repr(value)
    text = text if len(text) <= 60 else text[:57] + "..."
    return f"the text {text}" if isinstance(value, str) else text


def _message(error: Any, model: type[BaseModel]) -> str:
    kind, context, value = error["type"], error.get("ctx", {}), error["input"]
    name = error["loc"][-1] if error["loc"] else ""
    field = model.model_fields.get(str(error["loc"][0])) if len(error["loc"]) == 1 else None
    label = f"'{name}'" if isinstance(name, str) and name else "this item"
    if kind == "missing":
        what = f" ({field.description})" if field is not None and field.description else ""
        return f"missing key '{name}'{what}"
    if kind in _EXPECTED:
        return f"{label}: expected {_EXPECTED[kind]}, found {shown(value)}"
    if kind == "zoo_types":
        return f"{label}: expected {context['wanted']}, found {shown(value)}"
    if kind in _BOUND:
        key, words = _BOUND[kind]
        return f"{label}: expected a number {words} {context[key]}, found {shown(value)}"
    if kind == "literal_error":
        valid = str(context["expected"])
        names = [item.strip("' ") for item in valid.replace(" or ", ",").split(",")]
        close = nearest(value, names) if isinstance(value, str) else None
        hint = f"; did you mean '{close}'?" if close else ""
        return f"{label}: expected {valid}, found {shown(value)}{hint}"
    if kind == "string_pattern_mismatch":
        return f"{label}: expected text of the form {context['pattern']}, found {shown(value)}"
    if kind in {"too_short", "too_long"}:
        return f"{label}: {error['msg'].lower()}"
    if kind == "value_error":
        problem = str(context.get("error", error["msg"]))
        return f"{label}: {problem}" if error["loc"] else problem
    return f"{label}: {error['msg']}, found {shown(value)}"


def _as_one_type(errors: list[Any], model: type[BaseModel]) -> Iterator[Any]:
    """The errors of `model`, where a field takes several types: as the one that was meant, or as none of them.

    pydantic tries each type, and has its name in the place of the error.
    """
    several = {name for name, field in model.model_fields.items() if len(_types(field.annotation)) > 1}
    misfits: dict[str, list[Any]] = {}
    meant: set[str] = set()
    for item in errors:
        field = item["loc"][0] if len(item["loc"]) > 1 else None
        if field in several and len(item["loc"]) == 2 and item["type"] in _EXPECTED:
            misfits.setdefault(field, []).append(item)
        elif field in several:
            meant.add(field)
    for item in errors:
        field = item["loc"][0] if len(item["loc"]) > 1 else None
        if field not in several:
            yield item
        elif field in meant:
            if item not in misfits.get(field, ()):
                yield {**item, "loc": (field, *item["loc"][2:])}
        elif item is misfits[field][0]:
            wanted = " or ".join(_EXPECTED[other["type"]] for other in misfits[field])
            yield {**item, "loc": (field,), "type": "zoo_types", "ctx": {"wanted": wanted}}


def _types(annotation: Any) -> list[Any]:
    """The types of a union but None; none of what is no union."""
    if get_origin(annotation) not in {Union, UnionType}:
        return []
    return [one for one in get_args(annotation) if one is not NoneType]


def explained(
    error: ValidationError, model: type[BaseModel], meant: Collection[str | None] = ()
) -> list[InitErrorDetails]:
    """The line errors of `error`, each with a final message; those already explained pass through.

    Keys in `meant` were misspelt, which is said elsewhere: that they are missing is not repeated.
    """
    details: list[InitErrorDetails] = []
    for item in _as_one_type(error.errors(include_url=False), model):
        if item["type"] == "missing" and len(item["loc"]) == 1 and item["loc"][0] in meant:
            continue
        if item["type"] in {"zoo", "zoo_key"}:
            details.append(
                error_at(item["loc"], item["ctx"]["message"], item["input"], at_key=item["type"] == "zoo_key")
            )
        else:
            details.append(error_at(item["loc"], _message(item, model), item["input"]))
    return details
