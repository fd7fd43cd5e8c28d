"""Attention over encoder layers: weights that sum to one, for each decoder layer its own."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from zoo.models.contracts import FusionContext
from zoo_fusion.mixture import Mixture
from zoo_fusion.options import LayerAttentionOptions


class Transparent(Mixture):
    """``M_k = LN(sum_l softmax(s_k)_l h_l)``, h_0 the embeddings (Bapna et al. 2018, section 4).

    Logits start at 0, all layers alike. They are dropped out as in the authors' toolkit, Lingvo, where 1/n is added
    first: so dropout does something from the first step.
    """

    options: LayerAttentionOptions

    def __init__(self, options: LayerAttentionOptions, context: FusionContext) -> None:
        super().__init__(options, context)
        self.logits = nn.Parameter(torch.zeros(context.decoder_layers, self.read, *self._features()))
        self.norms = nn.ModuleList(
            nn.LayerNorm(context.d_model) for _ in range(context.decoder_layers if options.normalize else 0)
        )

    def _features(self) -> tuple[int, ...]:
        """Further dimensions of the logits of one layer."""
        return ()

    def weights(self, decoder_layer: int) -> Tensor:
        logits = self.logits[decoder_layer]  # [n] or [n, D]
        return F.dropout(logits + 1 / self.read, self.options.dropout, self.training).softmax(0)  # [n] or [n, D]

    def norm(self, decoder_layer: int) -> nn.LayerNorm | None:
        return self.norms[decoder_layer] if self.options.normalize else None  # type: ignore[return-value]


class FineGrained(Transparent):
    """``M_k = LN(sum_l softmax(s_k)_l * h_l)`` with logits ``[L, D]``, one per feature (Liu et al. 2021, section 3)."""

    def _features(self) -> tuple[int, ...]:
        return (self.context.d_model,)
