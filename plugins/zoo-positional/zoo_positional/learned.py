"""Learned absolute positions (Gehring et al. 2017)."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from zoo.errors import InputError
from zoo.models.contracts import Position, StackContext
from zoo_positional.options import LearnedOptions


class Learned(Position):
    """``x_i + P[i]`` with a trained table P ``[max_positions, D]`` (Gehring et al. 2017, section 3.1)."""

    options: LearnedOptions

    def __init__(self, options: LearnedOptions, context: StackContext) -> None:
        super().__init__(options, context)
        self.position_limit = context.max_positions
        self.table = nn.Parameter(torch.empty(context.max_positions, context.d_model))
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Draw the table from N(0, std^2)."""
        nn.init.normal_(self.table, std=self.options.std)

    def embed(self, x: Tensor, positions: Tensor) -> Tensor:
        """Raises InputError for a position past the table.

        On an accelerator, reading a position would wait for the device at every step: there the host's check of
        lengths against `position_limit` stands alone.
        """
        if positions.device.type == "cpu" and not torch.compiler.is_compiling() and positions.numel():
            longest = int(positions.max())
            if longest >= self.context.max_positions:
                raise InputError(
                    f"position {longest} is past the table of learned positions (model.max_positions: "
                    f"{self.context.max_positions}): shorten the input, or build the model with a larger table"
                )
        return x + F.embedding(positions, self.table).to(x.dtype)
