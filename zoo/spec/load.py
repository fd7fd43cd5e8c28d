"""From a file to resolved specs, with every mistake as one line."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from pydantic import ValidationError

from zoo.errors import InputError, InputErrorGroup, did_you_mean
from zoo.registry import Registry, current_registry
from zoo.spec.image_section import ImagePreparation, ImageSection
from zoo.spec.model_section import ModelSection
from zoo.spec.node import Node
from zoo.spec.options import Chosen, Options
from zoo.spec.overlay import apply_sets, expand_grid, read_extended
from zoo.spec.peer_spec import is_of_a_peer, refuse_varied_models
from zoo.spec.pretrained import expanded
from zoo.spec.sections import Spec

SectionT = TypeVar("SectionT", bound=Options)


@dataclass(frozen=True)
class Cell:
    """One point of a spec's grid; `label` is empty where the spec has none."""

    label: str
    spec: Spec


def load_cells(path: Path | str, sets: Sequence[str] = (), registry: Registry | None = None) -> list[Cell]:
    """Every resolved spec of a file (one, or one per grid point).

    Raises InputError (or InputErrorGroup) with ``file:line:column`` for each mistake.
    """
    root = apply_sets(read_extended(Path(path)), sets)
    if root.entries and "zoo_lock" in root.entries:
        root = locked_spec(root)
    points = expand_grid(root)
    if any(is_of_a_peer(item.node) for item in points):
        refuse_varied_models(root)
    found = [
        (item.label, item.node if is_of_a_peer(item.node) else expanded(item.node, ModelSection, registry))
        for item in points
    ]
    return [Cell(label, resolve_node(node, Spec, registry)) for label, node in found]


def load_spec(
    path: Path | str,
    sets: Sequence[str] = (),
    registry: Registry | None = None,
    cell: str | None = None,
) -> Spec:
    """The one spec of a file; `cell` chooses a point of its grid by label."""
    cells = load_cells(path, sets, registry)
    if cell is not None:
        labels = [item.label for item in cells if item.label]
        for item in cells:
            if item.label == cell:
                return item.spec
        raise InputError(f"--cell '{cell}': {did_you_mean(cell, labels)}", where=str(path))
    if len(cells) > 1:
        raise InputError(
            f"the grid has {len(cells)} cells: choose one with --cell {cells[0].label}, "
            "or run all of them with 'zoo bench'",
            where=str(path),
        )
    return cells[0].spec


def locked_spec(root: Node) -> Node:
    """The ``spec:`` of a lock file's tree."""
    assert root.entries is not None
    version = root.entries["zoo_lock"].node
    if version.value != 1:
        raise InputError(f"'zoo_lock': expected version 1, found {version.value!r}", where=str(version.mark))
    if "spec" not in root.entries:
        raise InputError("a lock file without its 'spec'", where=str(root.mark))
    return root.entries["spec"].node


def resolve_node(node: Node, model: type[SectionT], registry: Registry | None) -> SectionT:
    """Validate a tree against an options model; errors carry the tree's places."""
    try:
        return model.model_validate(node.plain(), context={"registry": registry or current_registry()})
    except ValidationError as error:
        mistakes: dict[str, InputError] = {}
        for item in error.errors(include_url=False):
            where = str(node.find(item["loc"], at_key=item["type"] == "zoo_key"))
            message = _message(item)
            parents = ".".join(str(step) for step in item["loc"][:-1])
            mistake = InputError(f"{parents}: {message}" if parents else message, where=where)
            mistakes.setdefault(str(mistake), mistake)
        raise _together(list(mistakes.values())) from None


def resolve(plain: Mapping[str, Any], registry: Registry | None = None) -> Spec:
    """A spec from plain data, such as a record's or a saved configuration's."""
    return _resolve_plain(plain, Spec, registry)


def resolve_model(plain: Mapping[str, Any], registry: Registry | None = None) -> ModelSection:
    """A model section from plain data, such as the one in a saved model's config.json."""
    return _resolve_plain(plain, ModelSection, registry)


def resolve_image(plain: Mapping[str, Any], registry: Registry | None = None) -> ImageSection:
    """An image section from plain data, such as the one in a saved image processor's file."""
    return _resolve_plain(plain, ImageSection, registry)


def resolve_preparation(plain: Mapping[str, Any], registry: Registry | None = None) -> ImagePreparation:
    """How images are prepared, from plain data such as an export's."""
    return _resolve_plain(plain, ImagePreparation, registry)


def _resolve_plain(plain: Mapping[str, Any], model: type[SectionT], registry: Registry | None) -> SectionT:
    try:
        return model.model_validate(dict(plain), context={"registry": registry or current_registry()})
    except ValidationError as error:
        lines = []
        for item in error.errors(include_url=False):
            lines.append(InputError(_message(item), where=".".join(str(step) for step in item["loc"]) or None))
        raise _together(lines) from None


def _message(item: Any) -> str:
    """The text of one of pydantic's line errors: ours where `zoo.spec.explain` made it."""
    return str(item["ctx"]["message"] if item["type"].startswith("zoo") else item["msg"])


def _together(mistakes: list[InputError]) -> InputError:
    return InputErrorGroup(mistakes) if len(mistakes) > 1 else mistakes[0]


def canonical(plain: Any) -> bytes:
    """Plain data as bytes: the same data gives the same bytes on every platform."""
    return json.dumps(plain, sort_keys=True, separators=(",", ":"), ensure_ascii=True, allow_nan=False).encode()


def spec_hash(spec: Spec) -> str:
    """``sha256:<hex>`` of the resolved spec, its name and description left out: they change no result."""
    plain = {key: value for key, value in spec.plain().items() if key not in {"name", "description"}}
    return "sha256:" + hashlib.sha256(canonical(plain)).hexdigest()


def chosen_components(section: Any) -> list[Chosen]:
    """Every component that a section names, nested ones included, in field order, each once."""
    found: dict[tuple[str, str, bytes], Chosen] = {}

    def visit(value: Any) -> None:
        if isinstance(value, Chosen):
            found.setdefault((value.kind, value.id, canonical(value.plain())), value)
            visit(value.options)
        elif isinstance(value, Options):
            for name in type(value).model_fields:
                visit(getattr(value, name))
        elif isinstance(value, (list, tuple)):
            for item in value:
                visit(item)
        elif isinstance(value, dict):
            for item in value.values():
                visit(item)

    visit(section)
    return list(found.values())


def distributions_of(section: Any) -> dict[str, str]:
    """Distribution -> version of every plugin that a section's components come from."""
    return dict(
        sorted((chosen.component.distribution, chosen.component.version) for chosen in chosen_components(section))
    )
