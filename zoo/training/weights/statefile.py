"""Nested state (optimizers, schedules, generators) in files without pickle: tensors in safetensors, other values in
JSON.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from safetensors.torch import load_file, save_file
from torch import Tensor

from zoo.errors import ZooError

_SCALARS = (str, int, float, bool, type(None))


def save_state(stem: Path, tree: Any) -> None:
    """Write `tree` to ``<stem>.json`` and ``<stem>.safetensors``; `load_state` gives the same values, bit for bit.

    A tree is made of dicts (with text or integer keys), lists, tuples, tensors, text, numbers, booleans and None.
    Raises ZooError for anything else.
    """
    tensors: dict[str, Tensor] = {}
    structure = _packed(tree, tensors, stem.name)
    save_file(tensors, stem.with_suffix(".safetensors"))
    stem.with_suffix(".json").write_text(json.dumps(structure, ensure_ascii=True))


def load_state(stem: Path) -> Any:
    """Read what `save_state` wrote; tensors arrive on the CPU."""
    tensors = load_file(stem.with_suffix(".safetensors"))
    return _unpacked(json.loads(stem.with_suffix(".json").read_text()), tensors)


def _packed(value: Any, tensors: dict[str, Tensor], path: str) -> Any:
    if isinstance(value, Tensor):
        tensors[path] = value.detach().cpu().contiguous().clone()
        return {"tensor": path}
    if type(value) in _SCALARS:
        return value
    if isinstance(value, dict) and all(type(key) in (str, int) for key in value):
        # As pairs: JSON's own keys are text only.
        return {"dict": [[key, _packed(item, tensors, f"{path}.{key}")] for key, item in value.items()]}
    if type(value) in (list, tuple):
        items = [_packed(item, tensors, f"{path}.{index}") for index, item in enumerate(value)]
        return {type(value).__name__: items}
    raise ZooError(f"the state '{path}' is a {type(value).__name__}, which a checkpoint cannot hold without pickle")


def _unpacked(value: Any, tensors: dict[str, Tensor]) -> Any:
    if not isinstance(value, dict):
        return value
    ((kind, content),) = value.items()
    if kind == "tensor":
        return tensors[content]
    if kind == "dict":
        return {key: _unpacked(item, tensors) for key, item in content}
    items = [_unpacked(item, tensors) for item in content]
    return tuple(items) if kind == "tuple" else items
