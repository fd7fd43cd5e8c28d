"""`zoo schema`: a JSON Schema of specs over what is installed, for editors."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from zoo.registry import Registry, current_registry
from zoo.spec.detection_spec import DetectionSpec
from zoo.spec.generator_spec import GeneratorSpec
from zoo.spec.options import SLOT_MARK
from zoo.spec.peer_spec import PeerSpec
from zoo.spec.pretrained.expansion import FROM, GRAFT, SETTABLE
from zoo.spec.sections import Spec

DRAFT = "https://json-schema.org/draft/2020-12/schema"
_PARTIAL = "partial:"
_ASSEMBLED = "AssembledModelSection"


def spec_schema(registry: Registry | None = None) -> dict[str, Any]:
    """JSON Schema (draft 2020-12) of a spec file.

    A file that ``extends`` others, or varies a ``grid``, may leave required keys to them; others must be complete.
    """
    registry = registry or current_registry()
    definitions: dict[str, Any] = {}
    root = _with_slots(_hoisted(Spec.model_json_schema(), "", definitions))
    of_detectors = _with_slots(_hoisted(DetectionSpec.model_json_schema(), "", definitions))
    of_generators = _with_slots(_hoisted(GeneratorSpec.model_json_schema(), "", definitions))
    of_peers = _with_slots(_hoisted(PeerSpec.model_json_schema(), "", definitions))
    definitions[_ASSEMBLED] = definitions["ModelSection"]
    definitions["ModelSection"] = {
        "description": definitions[_ASSEMBLED]["description"],
        "anyOf": [{"$ref": _pointer(_ASSEMBLED)}, _begun(definitions)],
    }
    for kind in sorted(registry.kinds):
        definitions[f"slot:{kind}"] = _slot(registry, kind, definitions)
    partial = {_PARTIAL + name: _partial(schema) for name, schema in definitions.items()}
    complete, detector, generator, peer = (
        {**item, "properties": {**item["properties"], "grid": _GRID}}
        for item in (root, of_detectors, of_generators, of_peers)
    )
    schema = {
        "$schema": DRAFT,
        "title": "zoo spec",
        "if": {"anyOf": [{"required": ["extends"]}, {"required": ["grid"]}]},
        # A file that is laid over another may leave it to that to say what is assembled.
        "then": {
            "if": _A_PEER,
            "then": _laid_over(peer),
            "else": {
                "if": _of_architecture("detector"),
                "then": _laid_over(detector),
                "else": {
                    "if": _of_architecture("generator"),
                    "then": _laid_over(generator),
                    "else": {"anyOf": [_laid_over(item) for item in (complete, detector, generator)]},
                },
            },
        },
        "else": {
            "if": _A_PEER,
            "then": peer,
            "else": {
                "if": _of_architecture("detector"),
                "then": detector,
                "else": {"if": _of_architecture("generator"), "then": generator, "else": complete},
            },
        },
        "$defs": {**definitions, **partial},
    }
    return _referenced_only(schema)


_EXTENDS = {
    "description": "Spec files that this one is laid over, relative to it",
    "anyOf": [{"type": "string"}, {"type": "array", "items": {"type": "string"}, "minItems": 1}],
}
_GRID = {
    "description": "Dotted path -> values, or label -> value: one cell per point of the product",
    "type": "object",
    "minProperties": 1,
    "additionalProperties": {"anyOf": [{"type": "array", "minItems": 1}, {"type": "object", "minProperties": 1}]},
}


_A_PEER = {"required": ["peer"], "properties": {"peer": {"not": {"type": "null"}}}}


def _of_architecture(name: str) -> dict[str, Any]:
    """Whether a spec says that its model is of this architecture."""
    model = {"type": "object", "required": ["architecture"], "properties": {"architecture": {"const": name}}}
    return {"required": ["model"], "properties": {"model": model}}


def _laid_over(complete: dict[str, Any]) -> dict[str, Any]:
    partial: dict[str, Any] = _partial(complete)
    return {**partial, "properties": {**partial["properties"], "extends": _EXTENDS}}


def _begun(definitions: dict[str, Any]) -> dict[str, Any]:
    """A model section that begins with a pretrained model: `zoo.spec.pretrained.expansion` makes a whole one of it."""
    properties = definitions[_ASSEMBLED]["properties"]

    def slots(fields: dict[str, Any]) -> dict[str, Any]:
        found: dict[str, Any] = {}
        for name, field in fields.items():
            references = [_name(item) for item in _references(field)]
            if any(item.startswith("slot:") for item in references):
                options = {"type": "object", "not": {"required": ["use"]}}
                found[name] = {"description": field["description"], "anyOf": [field, options]}
            elif references and slots(definitions[references[0]].get("properties", {})):
                inner = slots(definitions[references[0]]["properties"])
                found[name] = {"type": "object", "properties": inner, "additionalProperties": False}
        return found

    graft = {"type": "object", "properties": slots(properties), "additionalProperties": False}
    return {
        "type": "object",
        "required": [FROM],
        "properties": {
            FROM: {
                "type": "string",
                "description": "Folder of a pretrained model, or of one of zoo's own, or its name on the hub",
            },
            GRAFT: {"description": "Components that replace the pretrained model's own", **graft},
            **{name: properties[name] for name in SETTABLE},
        },
        "additionalProperties": False,
    }


def _slot(registry: Registry, kind: str, definitions: dict[str, Any]) -> dict[str, Any]:
    names = [name for item in registry.components(kind) for name in (item.name, item.id)]
    if not names:
        return {"not": {}, "description": f"no {kind} is installed"}
    bare_allowed: list[str] = []
    variants: list[dict[str, Any]] = []
    for item in registry.components(kind):
        accepted = [item.id, *([item.name] if item.name in registry.names(kind) else [])]
        # Hoisted under a name of its own: two plugins may both call a model 'Options'.
        raw = item.load_options().model_json_schema()
        options = _with_slots(_hoisted(raw, f"{kind}/{item.id}/", definitions))
        if not options.get("required"):
            bare_allowed.extend(accepted)
        variants.append(
            {
                "type": "object",
                "title": item.name,
                "description": item.summary,
                "properties": {"use": {"enum": sorted(accepted)}, **options.get("properties", {})},
                "required": ["use", *options.get("required", [])],
                "additionalProperties": False,
            }
        )
    if bare_allowed:
        variants.insert(0, {"enum": sorted(set(bare_allowed)), "title": f"a {kind} with its defaults"})
    return {"description": registry.kind(kind).summary, "anyOf": variants}


def _hoisted(schema: dict[str, Any], prefix: str, definitions: dict[str, Any]) -> dict[str, Any]:
    """Move the schema's own ``$defs`` to the shared definitions, with `prefix` before their names."""
    own = schema.pop("$defs", {})
    for name, definition in own.items():
        definitions[prefix + name] = _with_slots(_repointed(definition, prefix))
    moved: dict[str, Any] = _repointed(schema, prefix)
    return moved


def _pointer(name: str) -> str:
    return "#/$defs/" + name.replace("~", "~0").replace("/", "~1")


def _name(pointer: str) -> str:
    return pointer.removeprefix("#/$defs/").replace("~1", "/").replace("~0", "~")


def _repointed(value: Any, prefix: str) -> Any:
    if isinstance(value, dict):
        return {
            key: _pointer(prefix + _name(item)) if key == "$ref" and isinstance(item, str) else _repointed(item, prefix)
            for key, item in value.items()
        }
    if isinstance(value, list):
        return [_repointed(item, prefix) for item in value]
    return value


def _with_slots(value: Any) -> Any:
    if isinstance(value, dict):
        if SLOT_MARK in value:
            others = {key: _with_slots(item) for key, item in value.items() if key != SLOT_MARK}
            return {"$ref": _pointer(f"slot:{value[SLOT_MARK]}"), **others}
        return {key: _with_slots(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_with_slots(item) for item in value]
    return value


def _partial(value: Any) -> Any:
    """The schema with nothing required, pointing at partial definitions: for files laid over others."""
    if isinstance(value, dict):
        partial: dict[str, Any] = {}
        for key, item in value.items():
            if key == "required" and isinstance(item, list):
                continue
            if key == "$ref" and isinstance(item, str):
                partial[key] = _pointer(_PARTIAL + _name(item))
            else:
                partial[key] = _partial(item)
        return partial
    if isinstance(value, list):
        return [_partial(item) for item in value]
    return value


def _references(value: Any) -> Iterable[str]:
    if isinstance(value, dict):
        for key, item in value.items():
            if key == "$ref" and isinstance(item, str):
                yield _name(item)
            else:
                yield from _references(item)
    elif isinstance(value, list):
        for item in value:
            yield from _references(item)


def _referenced_only(schema: dict[str, Any]) -> dict[str, Any]:
    definitions: dict[str, Any] = schema["$defs"]
    kept: set[str] = set()
    waiting = [name for key, part in schema.items() if key != "$defs" for name in _references(part)]
    while waiting:
        name = waiting.pop()
        if name not in kept:
            kept.add(name)
            waiting.extend(_references(definitions[name]))
    return {**schema, "$defs": {name: definitions[name] for name in sorted(kept)}}
