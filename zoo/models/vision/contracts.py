"""What the host asks of positions of patches.

Shapes: B batch, N patches, L tokens of the encoder (registers and patches), D width, H heads.
"""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from zoo.models.contracts import Position, StackContext
from zoo.spec.options import Options

REGISTER = -1
"""The place of a register, which stands nowhere."""
_SHIFT = 20


@dataclass(frozen=True)
class PatchContext(StackContext):
    """The place a scheme of patch positions is built for: the encoder, whose `max_positions` says nothing of images."""

    registers: int = 0
    """Tokens without position before the patches of an image."""


class PatchPosition(Position):
    """A position scheme of an image encoder. Built as ``target(options, context)``.

    As `Position`, for patches of a grid in place of tokens in a row. `embed` gets the patches alone, without registers,
    and `positions` ``[B, N, 4]``: row and column of each patch, and rows and columns of the grid that it belongs to;
    images of a batch differ in their grids. `inputs`, `rotate`, `score` and `output` get *places*, ``[B or 1, L]``
    integers that `place_of` makes and `rows_and_columns` reads, element-wise; a register's is `REGISTER`. Padding has
    some place of a grid, which a scheme need not mind.
    """

    grid_limit: tuple[int, int] | None = None
    """Most rows and columns that a grid may have (the end of a table). The host looks at grids and raises InputError;
    None is no limit."""

    context: PatchContext

    def __init__(self, options: Options, context: PatchContext) -> None:
        super().__init__(options, context)

    def embed(self, x: Tensor, positions: Tensor) -> Tensor:
        """x ``[B, N, D]`` embedded patches, positions ``[B, N, 4]`` -> ``[B, N, D]``."""
        return x


def place_of(positions: Tensor) -> Tensor:
    """Rows and columns ``[..., 2]`` (or more, which are not looked at) as places ``[...]``."""
    return (positions[..., 0].long() << _SHIFT) + positions[..., 1].long()


def rows_and_columns(places: Tensor) -> tuple[Tensor, Tensor]:
    """Places as rows and columns of the same shape; a register has 0 and 0, see `is_register`."""
    at = places.clamp_min(0)
    return at >> _SHIFT, at & ((1 << _SHIFT) - 1)  # integers all the way: fused kernels call this


def is_register(places: Tensor) -> Tensor:
    """Which places are those of registers."""
    return places == REGISTER
