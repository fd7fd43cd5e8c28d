"""`extends`, `--set` and `grid`: how one tree is laid over another."""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from zoo.errors import InputError
from zoo.spec.node import Entry, Mark, Node, mapping, sequence
from zoo.spec.reader import read_file, read_text

MAX_EXTENDS = 16
MAX_CELLS = 10_000
LONGEST_NAME = 100
WHOLE = "spec"
"""The path of a grid's axis whose values are parts of a whole spec."""


def merge(base: Node, over: Node) -> Node:
    """Lay `over` on `base`: mappings merge key by key, everything else is replaced.

    Changing a slot's ``use`` drops the old component's options: they belong to another component. A mapping
    without ``use`` over a bare name keeps the name and adds options.
    """
    if over.entries is None:
        return over
    if isinstance(base.value, str) and "use" not in over.entries:
        named = mapping({"use": Entry(base.mark, base)}, base.mark)
        return merge(named, over)
    if base.entries is None:
        return over
    if "use" in over.entries and not _same_component(base, over):
        return over
    entries = dict(base.entries)
    for key, entry in over.entries.items():
        below = entries.get(key)
        entries[key] = Entry(entry.key_mark, merge(below.node, entry.node) if below else entry.node)
    return mapping(entries, over.mark)


def _same_component(base: Node, over: Node) -> bool:
    old = base.entries.get("use") if base.entries else None
    new = over.entries.get("use") if over.entries else None
    if old is None or new is None:
        return old is new
    return str(old.node.value).rpartition("/")[2] == str(new.node.value).rpartition("/")[2]


def read_extended(path: Path, _seen: tuple[Path, ...] = ()) -> Node:
    """Read a spec file and what it extends (relative to it, first to last, itself on top)."""
    node = read_file(path)
    if node.entries is None:
        raise InputError("expected a mapping of keys at the top", where=str(node.mark))
    if "extends" not in node.entries:
        return node
    here = path.resolve()
    seen = (*_seen, here)
    entry = node.entries["extends"]
    names = entry.node.value if isinstance(entry.node.value, list) else [entry.node]
    result: Node | None = None
    for name in names:
        if not isinstance(name.value, str) or not name.value:
            raise InputError("'extends': expected a file name or a list of file names", where=str(name.mark))
        if "\0" in name.value:
            raise InputError("'extends': a file name cannot hold a NUL character", where=str(name.mark))
        target = (here.parent / name.value).resolve()
        if target in seen:
            raise InputError(f"'extends': '{name.value}' extends itself", where=str(name.mark))
        if len(seen) >= MAX_EXTENDS:
            raise InputError(f"'extends': more than {MAX_EXTENDS} files deep", where=str(name.mark))
        if not target.exists():
            raise InputError(f"'extends': there is no file '{name.value}' beside this one", where=str(name.mark))
        shown = path.parent / name.value
        layer = read_extended(shown, seen)
        result = layer if result is None else merge(result, layer)
    own = mapping({key: value for key, value in node.entries.items() if key != "extends"}, node.mark)
    return own if result is None else merge(result, own)


_STEP = re.compile(r"[A-Za-z_][A-Za-z0-9_-]*|[0-9]+")


def _steps(path: str, where: str) -> list[str]:
    steps = path.strip().split(".")
    if not all(_STEP.fullmatch(step) for step in steps):
        raise InputError(f"expected a dotted path such as model.heads, found '{path[:80]}'", where=where)
    if len(steps) > 32:
        raise InputError("a path of more than 32 steps", where=where)
    return steps


def assign(root: Node, path: str, value: Node, where: str) -> Node:
    """`root` with `value` laid at the dotted `path`; list items are numbered from 0."""
    return _assign(root, _steps(path, where), value, where, path)


def _assign(node: Node, steps: list[str], value: Node, where: str, path: str) -> Node:
    if not steps:
        return merge(node, value)
    step, rest = steps[0], steps[1:]
    if isinstance(node.value, list):
        if not step.isdigit() or int(step) >= len(node.value):
            raise InputError(f"'{path}': '{step}' is no item of a list of {len(node.value)}", where=where)
        items = list(node.value)
        items[int(step)] = _assign(items[int(step)], rest, value, where, path)
        return sequence(items, node.mark)
    mark = value.mark
    over = value
    for name in reversed(rest):
        over = mapping({name: Entry(mark, over)}, mark)
    if isinstance(node.value, dict) and step in node.value:
        inner = _assign(node.value[step].node, rest, value, where, path)
        entries = dict(node.value)
        if step == "use" and not rest:  # another component: its predecessor's options go
            return replace(merge(node, mapping({"use": Entry(mark, value)}, mark)), mark=node.mark)
        entries[step] = Entry(node.value[step].key_mark, inner)
        return mapping(entries, node.mark)
    return replace(merge(node, mapping({step: Entry(mark, over)}, mark)), mark=node.mark)


def apply_sets(root: Node, assignments: Sequence[str]) -> Node:
    """Apply ``--set path=value`` assignments in order; values are YAML."""
    for text in assignments:
        where = f"--set {text[:80]}"
        path, equals, value = text.partition("=")
        if not equals:
            raise InputError("expected PATH=VALUE, such as model.heads=8", where=where)
        node = read_text(value, where, place=False) if value.strip() else Node(None, Mark(where))
        root = assign(root, path, node, where)
    return root


@dataclass(frozen=True)
class LabelledNode:
    """One point of a grid: `label` names its coordinates, empty where there is no grid."""

    label: str
    node: Node


def expand_grid(root: Node) -> list[LabelledNode]:
    """The product of ``grid: {path: [values]}``; each point's name gets its coordinates as a suffix.

    Values that are long to write, such as sections, have short names where the list is a mapping: ``{label: value}``.
    Of the path `WHOLE` each value is laid over the spec itself, so that points may differ in several of its sections.
    The seed is in the label and not in the name: runs of one model with several seeds are one model on a board.
    """
    entries = root.entries
    if entries is None or "grid" not in entries:
        return [LabelledNode("", root)]
    grid = entries["grid"]
    base = mapping({key: entry for key, entry in entries.items() if key != "grid"}, root.mark)
    if not isinstance(grid.node.value, dict) or not grid.node.value:
        raise InputError("'grid': expected a mapping of dotted paths to lists of values", where=str(grid.node.mark))
    axes: list[list[tuple[str, str, Node]]] = []  # per axis and value: path, coordinate, value
    count = 1
    for path, entry in grid.node.value.items():
        if not isinstance(entry.node.value, list | dict) or not entry.node.value:
            message = f"'grid': expected a list of values for '{path}', or a mapping of labels to values"
            raise InputError(message, where=str(entry.node.mark))
        for varied, mark in varied_paths(path, entry):
            if varied.split(".")[0] in {"grid", "extends", "name"}:
                raise InputError(f"'grid': '{varied}' cannot be varied", where=str(mark))
        axes.append([(path, text, item) for text, item in _values(path, entry.node)])
        count *= len(axes[-1])
        if count > MAX_CELLS:
            raise InputError(f"'grid': more than {MAX_CELLS} cells", where=str(grid.node.mark))
    cells: list[LabelledNode] = []
    for point in itertools.product(*axes):
        node = base
        for path, _, value in point:
            if path == WHOLE:
                node = replace(merge(node, value), mark=node.mark)
            else:
                node = assign(node, path, value, str(value.mark))
        named = [text for path, text, _ in point if path != "seed"]
        label = "+".join(text for _, text, _ in point)
        cells.append(LabelledNode(label, _renamed(node, named)))
    labels = [cell.label for cell in cells]
    twice = next((label for label in labels if labels.count(label) > 1), None) if count <= 1000 else None
    if twice is not None or len(set(labels)) != len(labels):
        raise InputError(f"'grid': two cells are called '{twice}'", where=str(grid.node.mark))
    return cells


def varied_paths(path: str, axis: Entry) -> Iterator[tuple[str, Mark]]:
    """What an axis of a grid varies, and where that is written: its path, or the keys of the parts of a spec.

    Raises InputError where these are no such parts.
    """
    if path != WHOLE:
        yield path, axis.key_mark
        return
    parts = [part.node for part in axis.node.entries.values()] if axis.node.entries else [axis.node]
    for part in parts:
        if part is axis.node or part.entries is None:
            message = f"'grid': expected a mapping of labels to parts of a spec, {{a: {{...}}}}, for '{path}'"
            raise InputError(message, where=str(part.mark))
        yield from ((key, entry.key_mark) for key, entry in part.entries.items())


def _values(path: str, axis: Node) -> list[tuple[str, Node]]:
    """The values of an axis, each with its coordinate."""
    if isinstance(axis.value, list):
        return [(_coordinate(path, item), item) for item in axis.value]
    labelled = axis.entries or {}
    return [(_coordinate(path, Node(key, entry.key_mark)), entry.node) for key, entry in labelled.items()]


def _coordinate(path: str, value: Node) -> str:
    entries = value.entries
    shown = entries["use"].node.value if entries and "use" in entries else value.plain()
    if entries:
        others = [f"{key}={entry.node.plain()}" for key, entry in entries.items() if key != "use"]
        shown = ",".join([str(shown if "use" in entries else ""), *others])
    text = f"{path.rpartition('.')[2]}={str(shown).rpartition('/')[2]}"
    return re.sub(r"[^A-Za-z0-9._=-]+", "-", text)[:60]


def _renamed(node: Node, coordinates: Sequence[str]) -> Node:
    entries = dict(node.entries or {})
    named = entries.get("name")
    if named is not None and isinstance(named.node.value, str):
        full = "+".join([named.node.value, *coordinates])
        if len(full) > LONGEST_NAME:
            raise InputError(
                f"'grid': the name '{full[:40]}...' of a cell has {len(full)} characters, at most {LONGEST_NAME} are "
                "possible: shorten 'name'",
                where=str(named.node.mark),
            )
        renamed = Node(full, named.node.mark)
        entries["name"] = Entry(named.key_mark, renamed)
    return mapping(entries, node.mark)
