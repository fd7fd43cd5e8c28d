"""The tree a spec is read into: plain values that remember where they stand."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class Mark:
    """A place a user can open: ``file:line:column``, or a command-line option such as ``--set a.b=c``."""

    source: str
    line: int | None = None
    column: int | None = None

    def __str__(self) -> str:
        if self.line is None:
            return self.source
        return f"{self.source}:{self.line}:{self.column}"


@dataclass(frozen=True)
class Entry:
    """One key of a mapping with its value."""

    key_mark: Mark
    node: Node


Scalar = str | int | float | bool | None


@dataclass(frozen=True)
class Node:
    """A scalar, a list of nodes, or a mapping of entries. Trees are shared, never changed."""

    value: Scalar | list[Node] | dict[str, Entry]
    mark: Mark
    size: int = field(default=1, compare=False)
    """Nodes of the tree below and including this one, aliases counted at every use."""

    @property
    def entries(self) -> dict[str, Entry] | None:
        return self.value if isinstance(self.value, dict) else None

    def plain(self) -> Any:
        """The value without its places."""
        if isinstance(self.value, dict):
            return {key: entry.node.plain() for key, entry in self.value.items()}
        if isinstance(self.value, list):
            return [item.plain() for item in self.value]
        return self.value

    def find(self, path: tuple[int | str, ...], *, at_key: bool = False) -> Mark:
        """The place of `path`; where the path leaves the tree, the place of the last node on it.

        A slot written as a bare name stands for ``{use: name}``, so ``(..., "use")`` finds the name.
        """
        node, mark = self, self.mark
        for index, step in enumerate(path):
            if isinstance(node.value, dict) and step in node.value:
                entry = node.value[str(step)]
                last = index == len(path) - 1
                mark = entry.key_mark if at_key and last else entry.node.mark
                node = entry.node
            elif isinstance(node.value, list) and isinstance(step, int) and 0 <= step < len(node.value):
                node = node.value[step]
                mark = node.mark
            else:
                break
        return mark


def mapping(entries: dict[str, Entry], mark: Mark) -> Node:
    """A mapping node with its size."""
    return Node(entries, mark, 1 + sum(1 + entry.node.size for entry in entries.values()))


def sequence(items: list[Node], mark: Mark) -> Node:
    """A list node with its size."""
    return Node(items, mark, 1 + sum(item.size for item in items))
