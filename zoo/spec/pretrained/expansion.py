"""From ``model: {from: ..., graft: {...}}`` to a whole model section, each value with the place it was written at."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel

from zoo.errors import InputError, did_you_mean
from zoo.registry import Registry
from zoo.spec.node import Entry, Mark, Node, mapping, sequence
from zoo.spec.options import SLOT_MARK
from zoo.spec.overlay import merge
from zoo.spec.pretrained.checkpoint import find_checkpoint
from zoo.spec.pretrained.schemes import own_scheme

FROM, GRAFT = "from", "graft"
SETTABLE = ("dropout", "attention_dropout", "head_dropout", "word_dropout", "max_positions", "attention")
"""Keys of a model section that a spec may give beside `from`: they change no weight's meaning."""


def expanded(root: Node, section: type[BaseModel], registry: Registry | None = None) -> Node:
    """The tree with a model section in full where its own begins with a pretrained model; else the same tree.

    `section` is the model of model sections, `registry` has the plugins that a model of zoo needs. Raises InputError
    for a checkpoint that cannot be read, and for keys that neither belong to `from` nor to a slot.
    """
    model = root.entries.get("model") if root.entries else None
    if model is None or model.node.entries is None:
        return root
    given = model.node.entries
    if FROM not in given:
        if GRAFT in given:
            raise InputError(
                "model: 'graft' replaces parts of a pretrained model: say which with 'from'",
                where=str(given[GRAFT].key_mark),
            )
        return root
    assert root.entries is not None
    _refuse_others(given)
    source = given[FROM].node
    if not isinstance(source.value, str) or not source.value or "\0" in source.value:
        raise InputError(
            "model: 'from': expected the folder of a pretrained model, or its name on the hub", where=str(source.mark)
        )
    result = _section_of(source.value, source.mark, registry)
    if GRAFT in given:
        result = _grafted(result, given[GRAFT].node, section)
    plain_keys = {key: entry for key, entry in given.items() if key in SETTABLE}
    result = merge(result, mapping(plain_keys, model.node.mark))
    return mapping({**root.entries, "model": Entry(model.key_mark, result)}, root.mark)


def _section_of(name: str, mark: Mark, registry: Registry | None) -> Node:
    try:
        checkpoint = find_checkpoint(name)
        plain = own_scheme(checkpoint, registry)
        plain["pretrained"] = {"path": name, "revision": checkpoint.revision(), **plain["pretrained"]}
    except InputError as error:
        raise InputError(f"model: 'from': {error}", where=str(mark)) from None
    return _node(plain, mark)


def _refuse_others(given: dict[str, Entry]) -> None:
    for key, entry in given.items():
        if key not in {FROM, GRAFT, *SETTABLE}:
            raise InputError(
                f"model: '{key}' comes from the pretrained model: beside 'from' there can be 'graft' (to replace a "
                f"component) and {', '.join(SETTABLE)}",
                where=str(entry.key_mark),
            )


def _grafted(own: Node, graft: Node, section: type[BaseModel]) -> Node:
    """`own` with the components of `graft` laid over it. One that names the own component keeps its options."""
    slots = _slots(section.model_json_schema())
    assert own.entries is not None
    if graft.entries is None:
        raise InputError("model: 'graft': expected a mapping of slots to components", where=str(graft.mark))
    result = own
    for key, entry in graft.entries.items():
        below = slots.get(key)
        if below is None:
            raise InputError(
                f"model: 'graft': '{key}' is no component of a model: {did_you_mean(key, slots)}",
                where=str(entry.key_mark),
            )
        new = _stack(own, key, entry.node, below) if isinstance(below, dict) else _used(entry.node)
        result = merge(result, mapping({key: Entry(entry.key_mark, new)}, graft.mark))
    return result


def _stack(own: Node, side: str, graft: Node, slots: dict[str, Any]) -> Node:
    """The graft of one stack, whose own components are the model's where it has none of its own."""
    assert own.entries is not None
    if graft.entries is None:
        raise InputError(f"model: 'graft': expected a mapping in '{side}'", where=str(graft.mark))
    entries: dict[str, Entry] = {}
    for key, entry in graft.entries.items():
        if key not in slots:
            raise InputError(
                f"model: 'graft': '{side}.{key}' is no component of a stack: {did_you_mean(key, slots)}",
                where=str(entry.key_mark),
            )
        base = _own_component(own, side, key)
        new = _used(entry.node)
        entries[key] = Entry(entry.key_mark, merge(base, new) if base else new)
    return mapping(entries, graft.mark)


def _own_component(own: Node, side: str, key: str) -> Node | None:
    """What the stack has in that slot: its own, or else the model's."""
    assert own.entries is not None
    stack = own.entries.get(side)
    for entries in (stack.node.entries if stack else None, own.entries):
        found = (entries or {}).get(key)
        if found is not None and found.node.plain() is not None:
            return found.node
    return None


def _used(node: Node) -> Node:
    """A bare name as a mapping: laid over a component of that name, it keeps its options."""
    return mapping({"use": Entry(node.mark, node)}, node.mark) if isinstance(node.value, str) else node


def _slots(schema: dict[str, Any]) -> dict[str, Any]:
    """Names of the slots in a section's schema; those of a section within it under that section's name."""
    definitions = schema.get("$defs", {})
    found: dict[str, Any] = {}
    for name, field in schema.get("properties", {}).items():
        parts = [field, *field.get("anyOf", [])]
        if any(SLOT_MARK in part for part in parts):
            found[name] = True
            continue
        for part in parts:
            inner = _slots(definitions.get(part.get("$ref", "").rpartition("/")[2], {}))
            if inner:
                found[name] = inner
    return found


def _node(plain: Any, mark: Mark) -> Node:
    if isinstance(plain, dict):
        return mapping({key: Entry(mark, _node(value, mark)) for key, value in plain.items()}, mark)
    if isinstance(plain, list):
        return sequence([_node(item, mark) for item in plain], mark)
    return Node(plain, mark)
