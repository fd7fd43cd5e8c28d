"""Parameters cut into the matrices that they hold: a fused projection is a query, a key and a value."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

from torch import nn

from zoo.training.contracts import LayerMatrix, NamedParameters


@dataclass(frozen=True, eq=False)
class Piece:
    """Rows of a parameter, or all of it, as a method sees them: a parameter of its own in the same memory."""

    name: str
    """Of the parameter that it belongs to."""
    parameter: nn.Parameter
    view: nn.Parameter
    """What a library's optimizer is given; `parameter` itself where it is whole."""
    rows: slice | None = None
    """None where it is whole."""
    matrix: LayerMatrix | None = None
    """What it is in an attention or feed-forward layer, if anything."""

    def refresh(self) -> None:
        """Have the view lie where the parameter's rows lie now, with their gradient."""
        if self.rows is not None:
            self.view.data = self.parameter.data[self.rows]
            gradient = self.parameter.grad
            self.view.grad = None if gradient is None else gradient[self.rows]

    def let_go(self) -> None:
        """Let the view hold no gradient, so that it can be freed."""
        if self.rows is not None:
            self.view.grad = None


def pieces_of(parameters: NamedParameters, matrices: Sequence[LayerMatrix]) -> list[Piece]:
    """`parameters` in their order, each in the matrices that it holds, or whole.

    A parameter is cut only where its matrices cover it, one under another.
    """
    inside: dict[str, list[LayerMatrix]] = defaultdict(list)
    for matrix in sorted(matrices, key=lambda item: item.start):
        inside[matrix.parameter].append(matrix)
    pieces: list[Piece] = []
    for name, parameter in parameters:
        found = inside[name]
        edges = [0, *(matrix.stop for matrix in found)]
        if not found or [matrix.start for matrix in found] != edges[:-1] or edges[-1] != parameter.shape[0]:
            pieces.append(Piece(name, parameter, parameter))
        elif len(found) == 1:
            pieces.append(Piece(name, parameter, parameter, matrix=found[0]))
        else:
            for matrix in found:
                rows = slice(matrix.start, matrix.stop)
                pieces.append(Piece(name, parameter, nn.Parameter(parameter.detach()[rows]), rows, matrix))
    return pieces
