"""YAML to nodes, in bounded time: a spec may come from a stranger.

Scalars follow YAML 1.2's core schema (``5e-4`` is a number, ``no`` is text); tags, merge keys, complex keys,
several documents, duplicate keys, infinities and NaN are errors with a place.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

from zoo.errors import InputError
from zoo.spec.node import Entry, Mark, Node, Scalar, mapping, sequence

MAX_BYTES = 256 * 1024
MAX_DEPTH = 40
MAX_NODES = 20_000
MAX_SCALAR = 20_000

_NULL = re.compile(r"null|Null|NULL|~|")
_BOOL = {"true": True, "True": True, "TRUE": True, "false": False, "False": False, "FALSE": False}
_INT = re.compile(r"[-+]?[0-9]+")
_OTHER_BASE = re.compile(r"0o[0-7]+|0x[0-9a-fA-F]+")
_FLOAT = re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?")
_NOT_FINITE = re.compile(r"[-+]?\.(inf|Inf|INF)|\.(nan|NaN|NAN)")
# libyaml's parser where PyYAML was built with it: the same events, ten times as fast.
_Loader: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


def read_file(path: Path) -> Node:
    """Read one YAML file. Raises InputError with the place of the first mistake."""
    name = str(path)
    try:
        if path.is_dir():
            raise InputError("expected a YAML file, found a folder", where=name)
        with path.open("rb") as stream:
            data = stream.read(MAX_BYTES + 1)
    except FileNotFoundError:
        raise InputError("there is no such file", where=name) from None
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else error
        raise InputError(f"cannot be read: {reason}", where=name) from None
    if len(data) > MAX_BYTES:
        raise InputError(f"expected at most {MAX_BYTES // 1024} KiB of YAML, found more", where=name)
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        column = error.start - data.rfind(b"\n", 0, error.start)
        raise InputError("expected UTF-8 text, found other bytes", where=f"{name}:{line}:{column}") from None
    return read_text(text, name)


def read_text(text: str, source: str, *, place: bool = True) -> Node:
    """Read YAML text. `source` names it in errors; without `place`, lines and columns are left out."""
    return _Builder(source, place).build(text)


class _Builder:
    """Consumes parser events without recursion in the parser, so that depth is bounded before the stack is."""

    def __init__(self, source: str, place: bool) -> None:
        self._source = source
        self._place = place
        self._anchors: dict[str, Node] = {}
        self._open: set[str] = set()
        self._count = 0

    def build(self, text: str) -> Node:
        try:
            events = self._events(text)
            node: Node | None = None
            for event in events:
                if isinstance(event, yaml.DocumentStartEvent):
                    if node is not None:
                        raise self._error(event, "expected one YAML document, found a second one")
                    node = self._node(next(events), events, 0)
                elif not isinstance(event, (yaml.StreamStartEvent, yaml.StreamEndEvent, yaml.DocumentEndEvent)):
                    raise self._error(event, "unexpected YAML structure")
        except yaml.MarkedYAMLError as error:
            raise InputError(self._yaml_problem(error), where=str(self._mark(error.problem_mark))) from None
        except yaml.reader.ReaderError as error:
            line = text.count("\n", 0, error.position) + 1
            column = error.position - text.rfind("\n", 0, error.position)
            raise InputError(
                f"the character {error.character!r} is not allowed in YAML"
                if isinstance(error.character, str)
                else f"the character U+{error.character:04X} is not allowed in YAML",
                where=str(Mark(self._source, line, column) if self._place else Mark(self._source)),
            ) from None
        except RecursionError:
            raise InputError(f"nested deeper than {MAX_DEPTH} levels", where=self._source) from None
        if node is None:
            raise InputError("expected a mapping of keys, found an empty file", where=self._source)
        return node

    def _events(self, text: str) -> Iterator[Any]:
        depth = 0
        for event in yaml.parse(text, Loader=_Loader):
            if isinstance(event, (yaml.MappingStartEvent, yaml.SequenceStartEvent)):
                depth += 1
                if depth > MAX_DEPTH:
                    raise self._error(event, f"nested deeper than {MAX_DEPTH} levels")
            elif isinstance(event, (yaml.MappingEndEvent, yaml.SequenceEndEvent)):
                depth -= 1
            yield event

    def _mark(self, mark: Any) -> Mark:
        if mark is None or not self._place:
            return Mark(self._source)
        return Mark(self._source, mark.line + 1, mark.column + 1)

    def _error(self, event: Any, message: str) -> InputError:
        return InputError(message, where=str(self._mark(event.start_mark)))

    @staticmethod
    def _yaml_problem(error: yaml.MarkedYAMLError) -> str:
        problem = str(error.problem or "not valid YAML")
        if "maximum nesting depth" in problem:  # PyYAML from 6.0.4 on has a bound of its own
            return f"nested deeper than {MAX_DEPTH} levels"
        if "\\t" in problem or ("cannot start any token" in problem and "'\t'" in problem):
            return "a tab cannot indent YAML: use spaces"
        if "cannot start any token" in problem:
            return f"not valid YAML: {problem} (put the text in quotes?)"
        if "mapping values are not allowed" in problem:
            return "not valid YAML: a second ':' on this line (put the text in quotes, or indent the next line?)"
        context = f" {error.context}" if error.context else ""
        return f"not valid YAML: {problem}{context}"

    def _node(self, event: Any, events: Iterator[Any], depth: int) -> Node:
        self._count += 1
        if isinstance(event, yaml.AliasEvent):
            return self._alias(event)
        tag = getattr(event, "tag", None)
        if tag is not None and tag != "!":
            raise self._error(event, f"the tag '{tag}' is not supported: a spec holds plain values only")
        anchor = event.anchor
        if anchor is not None:
            self._open.add(anchor)
        if isinstance(event, yaml.ScalarEvent):
            node = Node(self._scalar(event), self._mark(event.start_mark))
        elif isinstance(event, yaml.SequenceStartEvent):
            node = self._sequence(event, events, depth)
        else:
            node = self._mapping(event, events, depth)
        if node.size > MAX_NODES:
            raise self._error(event, f"more than {MAX_NODES} values, aliases expanded")
        if anchor is not None:
            self._open.discard(anchor)
            self._anchors[anchor] = node
        return node

    def _alias(self, event: Any) -> Node:
        if event.anchor in self._open:
            raise self._error(event, f"the alias '*{event.anchor}' stands inside its own anchor")
        if event.anchor not in self._anchors:
            raise self._error(event, f"the alias '*{event.anchor}' has no anchor before it")
        return self._anchors[event.anchor]

    def _sequence(self, event: Any, events: Iterator[Any], depth: int) -> Node:
        items: list[Node] = []
        total = 0
        for inner in events:
            if isinstance(inner, yaml.SequenceEndEvent):
                break
            items.append(self._node(inner, events, depth + 1))
            total += items[-1].size
            if total > MAX_NODES:
                raise self._error(inner, f"more than {MAX_NODES} values, aliases expanded")
        return sequence(items, self._mark(event.start_mark))

    def _mapping(self, event: Any, events: Iterator[Any], depth: int) -> Node:
        entries: dict[str, Entry] = {}
        total = 0
        for inner in events:
            if isinstance(inner, yaml.MappingEndEvent):
                break
            key = self._key(inner)
            if key in entries:
                first = entries[key].key_mark
                raise self._error(inner, f"the key '{key}' stands twice in one mapping (first at {first})")
            entries[key] = Entry(self._mark(inner.start_mark), self._node(next(events), events, depth + 1))
            total += 1 + entries[key].node.size
            if total > MAX_NODES:
                raise self._error(inner, f"more than {MAX_NODES} values, aliases expanded")
        return mapping(entries, self._mark(event.start_mark))

    def _key(self, event: Any) -> str:
        if not isinstance(event, yaml.ScalarEvent):
            raise self._error(event, "expected a plain name as key, found a list, a mapping or an alias")
        if event.value == "<<" and not event.style:
            raise self._error(event, "merge keys ('<<') are not supported: use 'extends:'")
        if event.tag is not None and event.tag != "!":
            raise self._error(event, f"the tag '{event.tag}' is not supported")
        if event.anchor is not None:
            raise self._error(event, "an anchor on a key is not supported")
        if len(event.value) > 200:
            raise self._error(event, "expected a name as key, found more than 200 characters")
        return str(event.value)

    def _scalar(self, event: Any) -> Scalar:
        text: str = event.value
        if len(text) > MAX_SCALAR:
            raise self._error(event, f"expected at most {MAX_SCALAR} characters in one value, found {len(text)}")
        if event.style:  # quoted or block text is text
            return text
        if _NULL.fullmatch(text):
            return None
        if text in _BOOL:
            return _BOOL[text]
        if _NOT_FINITE.fullmatch(text):
            raise self._error(event, f"expected a finite number, found {text}")
        if _INT.fullmatch(text) or _OTHER_BASE.fullmatch(text):
            if len(text) > 20:
                raise self._error(event, f"a whole number of {len(text)} digits is out of range")
            return int(text, 10) if _INT.fullmatch(text) else int(text, 0)
        if _FLOAT.fullmatch(text):
            number = float(text)
            if number in (float("inf"), float("-inf")):
                raise self._error(event, f"expected a finite number, found {text[:40]}")
            return number
        return text
