"""Adam-mini: one second moment for a block of weights."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Literal

import adam_mini as library
from torch.optim import Optimizer

from zoo.training.contracts import NamedParameters, OptimizerFactory
from zoo_optimizers.composite import Composite, Part
from zoo_optimizers.groups import escapes_decay
from zoo_optimizers.optimizer_options import AdamMiniOptions
from zoo_optimizers.pieces import Piece, pieces_of

_Route = Literal["q_proj", "linear", "block", "bias"]
"""Names that the library routes by: a second moment for each head, for each row, for the tensor, for each number."""


class AdamMini(OptimizerFactory):
    """Zhang et al. 2024 (arXiv:2406.16793), algorithm 1 with the partition of section 2.3, by the authors' library.

    A block shares one second moment, the mean of its squared gradients: a head of a query or a key; a row (an output
    neuron, a token) of every other matrix; a vector, except that a bias keeps Adam's. The library tells blocks by
    parameters' names and cannot know ours, so it is given names of its own; and queries, keys and values that one
    parameter holds are handed over one by one.
    """

    options: AdamMiniOptions

    def create(self, parameters: NamedParameters) -> Optimizer:
        options = self.options
        pieces = pieces_of(parameters, self.matrices)
        head = _numbers_of_a_head(pieces)
        named = [(f"{_route(piece, head)}.{number}", piece.view) for number, piece in enumerate(pieces)]
        optimizer = library.Adam_mini(
            named, lr=options.lr, betas=(options.beta1, options.beta2), eps=options.eps, verbose=False
        )
        optimizer.head_numel = head
        optimizer.world_size = 1  # processes hold the whole model; it asks for as many as there are GPUs
        optimizer.check_block_name = False  # which is about names, and asserts sizes of the library's own default
        for group, piece in zip(optimizer.param_groups, pieces, strict=True):
            spared = escapes_decay(piece.name, piece.parameter, options.no_decay)
            group["weight_decay"] = 0.0 if spared else options.weight_decay
        return Composite([Part(optimizer, pieces, options.lr)])

    def state_bytes(self, parameters: NamedParameters) -> int:
        """The first moment, and a number for each block."""
        pieces = pieces_of(parameters, self.matrices)
        head = _numbers_of_a_head(pieces)
        numbers = sum(piece.view.numel() for piece in pieces)
        for piece in pieces:
            match _route(piece, head):
                case "q_proj":
                    numbers += piece.view.numel() // head
                case "linear":
                    numbers += len(piece.view)
                case "block":
                    numbers += 1
                case "bias":
                    numbers += piece.view.numel()
        return 4 * numbers


def _numbers_of_a_head(pieces: Sequence[Piece]) -> int:
    """Weights of one head of a query or key: the library knows one such number, so the commonest. 0 without heads."""
    found = Counter(
        piece.matrix.head_dim * piece.view.shape[1]
        for piece in pieces
        if piece.matrix is not None and piece.matrix.role in {"query", "key"} and piece.matrix.head_dim
    )
    return found.most_common(1)[0][0] if found else 0


def _route(piece: Piece, head: int) -> _Route:
    weight, matrix = piece.view, piece.matrix
    if matrix is not None and matrix.role in {"query", "key"} and matrix.head_dim:
        if matrix.head_dim * weight.shape[1] == head:
            return "q_proj"
        return "linear"  # finer than its heads, which differ from the others'
    if weight.ndim == 2:
        return "linear"
    return "bias" if weight.ndim == 1 and piece.name.endswith("bias") else "block"
