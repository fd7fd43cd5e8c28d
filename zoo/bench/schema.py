"""`zoo.record/5` as a JSON Schema (draft 2020-12), for readers and writers in other languages."""

from __future__ import annotations

from typing import Any

from zoo.bench.record import SCHEMA, Record


def record_schema() -> dict[str, Any]:
    """The JSON Schema of one record file, made from the model that this package validates with.

    It accepts what `zoo.bench.store` reads, with one exception that JSON Schema has no word for: an integer written as
    ``1.0`` is none to the reader.
    """
    schema = Record.model_json_schema(by_alias=True, mode="validation")
    schema["required"] = sorted({*schema.get("required", ()), "schema"})
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "$id": f"urn:{SCHEMA.replace('/', ':')}",
        **schema,
    }
