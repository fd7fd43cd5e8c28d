"""Muon."""

from __future__ import annotations

import torch
from torch.optim import Optimizer

from zoo.errors import ZooError
from zoo.training.contracts import NamedParameters, OptimizerFactory
from zoo_optimizers.adamw import fused_where_possible
from zoo_optimizers.composite import Composite, Part
from zoo_optimizers.groups import piece_groups
from zoo_optimizers.optimizer_options import MuonOptions
from zoo_optimizers.pieces import Piece, pieces_of

_ADJUSTMENT = {"match-rms": "match_rms_adamw", "original": "original"}


class Muon(OptimizerFactory):
    """Jordan et al. 2024 (https://kellerjordan.github.io/posts/muon), as torch implements it.

    The layers' matrices move along their momentum, made orthogonal by Newton-Schulz iterations; queries, keys and
    values each by themselves, though one parameter holds them. Everything else (embeddings, the output matrix, vectors,
    other components' tables) is AdamW's.
    """

    options: MuonOptions

    def refuse(self, device: torch.device) -> None:
        if not hasattr(torch.optim, "Muon"):
            raise ZooError(f"muon needs torch 2.9, found {torch.__version__}: install it, or take adamw")

    def create(self, parameters: NamedParameters) -> Optimizer:
        self.refuse(next((parameter.device for _, parameter in parameters), torch.device("cpu")))
        options = self.options
        matrices, others = self._split(parameters)
        muon = torch.optim.Muon(
            piece_groups(matrices, options.weight_decay, options.no_decay),
            lr=options.lr,
            momentum=options.momentum,
            nesterov=options.nesterov,
            ns_steps=options.ns_steps,
            adjust_lr_fn=_ADJUSTMENT[options.adjustment],
        )
        parts = [Part(muon, matrices, options.lr)]
        if others:
            lr = options.lr if options.adamw_lr is None else options.adamw_lr
            adamw = torch.optim.AdamW(
                piece_groups(others, options.weight_decay, options.no_decay),
                lr=lr,
                betas=(options.beta1, options.beta2),
                eps=options.eps,
                fused=fused_where_possible(parameters),
            )
            parts.append(Part(adamw, others, lr))
        return Composite(parts)

    def state_bytes(self, parameters: NamedParameters) -> int:
        """One momentum of a layer's matrix; AdamW's two moments and step counter of everything else."""
        matrices, others = self._split(parameters)
        return sum(4 * piece.view.numel() for piece in matrices) + sum(8 * piece.view.numel() + 4 for piece in others)

    def _split(self, parameters: NamedParameters) -> tuple[list[Piece], list[Piece]]:
        pieces = pieces_of(parameters, self.matrices)
        matrices = [piece for piece in pieces if piece.matrix is not None]
        if not matrices:
            raise ZooError("muon moves matrices of attention and feed-forward layers, and there are none: take adamw")
        return matrices, [piece for piece in pieces if piece.matrix is None]
