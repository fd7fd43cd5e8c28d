"""Trained vectors that are added to patches: one table, resized or cropped, or one for each axis."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from zoo.models.vision.contracts import PatchContext, PatchPosition
from zoo_vision.options import CroppedOptions, TableOptions


class AbsoluteInterpolated(PatchPosition):
    """A table ``[rows, columns, D]``, resized to the grid of each image (ViT, Dosovitskiy et al. 2021, section 3.2).

    Bicubic (a = -1/2), pixel centres aligned (``align_corners=False``), with antialiasing where a grid is smaller than
    the table: ``F.interpolate(..., mode="bicubic", antialias=True)``, as timm has it. Each axis is resized by itself.
    A grid of the table's size gets the table as it is. Registers have no part in it.
    """

    options: TableOptions

    def __init__(self, options: TableOptions, context: PatchContext) -> None:
        super().__init__(options, context)
        self.table = nn.Parameter(torch.empty(options.rows, options.columns, context.d_model))
        nn.init.normal_(self.table, std=options.std)

    def embed(self, x: Tensor, positions: Tensor) -> Tensor:
        row, column, rows, columns = positions.unbind(-1)  # [B, N] each
        by_row = bicubic_weights(row, rows, self.options.rows)  # [B, N, R]
        by_column = bicubic_weights(column, columns, self.options.columns)  # [B, N, C]
        weights = (by_row[..., :, None] * by_column[..., None, :]).flatten(-2).to(self.table.dtype)  # [B, N, R*C]
        return x + (weights @ self.table.flatten(0, 1)).to(x.dtype)


def bicubic_weights(index: Tensor, size: Tensor, entries: int) -> Tensor:
    """What each of `entries` old values counts in the value at `index` of an axis resized to `size`.

    index and size are integers ``[...]``; gives ``[..., entries]``, float32, which adds up to 1.
    """
    scale = entries / size.float()[..., None]  # old steps in a new one
    centre = (index.float()[..., None] + 0.5) * scale
    old = torch.arange(entries, device=index.device, dtype=torch.float32) + 0.5  # [entries]
    weights = _cubic((old - centre) / scale.clamp_min(1.0))  # [..., entries]
    return weights / weights.sum(-1, keepdim=True)


def _cubic(x: Tensor) -> Tensor:
    """Keys' kernel with a = -1/2 (Keys 1981, equation 15)."""
    x = x.abs()
    near = (1.5 * x - 2.5) * x * x + 1
    far = ((-0.5 * x + 2.5) * x - 4) * x + 2
    return torch.where(x < 1, near, torch.where(x < 2, far, torch.zeros_like(x)))


class AbsoluteCropped(PatchPosition):
    """A table ``[rows, columns, D]``, of which each grid gets a part of its own size, never resized.

    The top left part, or the middle (as Stable Diffusion 3 does, Esser et al. 2024, section 5.3.2). A grid larger than
    the table is refused.
    """

    options: CroppedOptions

    def __init__(self, options: CroppedOptions, context: PatchContext) -> None:
        super().__init__(options, context)
        self.grid_limit = (options.rows, options.columns)
        self.table = nn.Parameter(torch.empty(options.rows, options.columns, context.d_model))
        nn.init.normal_(self.table, std=options.std)

    def embed(self, x: Tensor, positions: Tensor) -> Tensor:
        row, column, rows, columns = positions.unbind(-1)  # [B, N] each
        if self.options.anchor == "centre":
            row = row + (self.options.rows - rows) // 2
            column = column + (self.options.columns - columns) // 2
        return x + self.table[row, column].to(x.dtype)


class Factorized(PatchPosition):
    """A vector for the row and one for the column, added up (NaViT, Dehghani et al. 2023, section 2.1: absolute).

    A grid larger than the tables is refused.
    """

    options: TableOptions

    def __init__(self, options: TableOptions, context: PatchContext) -> None:
        super().__init__(options, context)
        self.grid_limit = (options.rows, options.columns)
        self.rows = nn.Parameter(torch.empty(options.rows, context.d_model))
        self.columns = nn.Parameter(torch.empty(options.columns, context.d_model))
        for table in (self.rows, self.columns):
            nn.init.normal_(table, std=options.std)

    def embed(self, x: Tensor, positions: Tensor) -> Tensor:
        return x + (self.rows[positions[..., 0]] + self.columns[positions[..., 1]]).to(x.dtype)
