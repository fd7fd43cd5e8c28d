"""SurfaceFusion: the source's own embeddings vote on the next token."""

from __future__ import annotations

from abc import abstractmethod

import torch
from torch import Tensor, nn

from zoo.models.contracts import OutputContext, OutputFusion, Transform
from zoo.spec.options import Options
from zoo_fusion.options import SurfaceHardOptions


class Surface(OutputFusion):
    """Liu et al. 2021, section 4: what `surface-hard` and `surface-soft` have in common.

    Attention with one head: the query comes from the last decoder state and the keys from the encoder's output, both
    without gradient, so that the two stacks are trained as without it; the values are the source embeddings before
    positions. Their mean goes through the feed-forward layer of the last decoder layer, a normalisation, and the
    model's output matrix: ``p_src = softmax(E LN(r + FFN(r)))``.
    """

    def __init__(self, options: Options, context: OutputContext) -> None:
        super().__init__(options, context)
        width = context.d_model
        self.query = nn.Linear(width, width)
        self.key = nn.Linear(width, width)
        self.norm = nn.LayerNorm(width)
        for linear in (self.query, self.key):
            nn.init.xavier_uniform_(linear.weight)
            nn.init.zeros_(linear.bias)

    def combine(
        self,
        logits: Tensor,
        *,
        decoder_states: Tensor,
        encoder_states: Tensor,
        source_embeddings: Tensor,
        visible: Tensor | None,
        feedforward: Transform,
        project: Transform,
    ) -> Tensor:
        query = self.query(decoder_states.detach())  # [B, T, D]
        key = self.key(encoder_states.detach())  # [B, S, D]
        scores = _wide(query @ key.transpose(-1, -2) * self.context.d_model**-0.5)  # [B, T, S]
        if visible is not None:
            # Not -inf: of an empty source nothing is visible, and a softmax over nothing would be NaN.
            scores = scores.masked_fill(~visible, torch.finfo(scores.dtype).min)
        surface = scores.softmax(-1).to(source_embeddings.dtype) @ source_embeddings  # [B, T, D]
        surface = self.norm(surface + feedforward(surface))  # [B, T, D]
        return self.fused(_wide(logits), _wide(project(surface)).log_softmax(-1))

    @abstractmethod
    def fused(self, logits: Tensor, log_source: Tensor) -> Tensor:
        """The scores ``[..., V]`` from the decoder's logits and ``log p_src``, both ``[..., V]``, float32 at least."""


def _wide(x: Tensor) -> Tensor:
    """In float32 at least: a softmax in half precision loses the rare."""
    return x.to(torch.promote_types(x.dtype, torch.float32))


class SurfaceHard(Surface):
    """``log p = lambda log p_dec + (1 - lambda) log p_src``, taken as it is: it does not sum to one."""

    options: SurfaceHardOptions
    log_probabilities = True

    def fused(self, logits: Tensor, log_source: Tensor) -> Tensor:
        share = self.options.decoder_share
        return share * logits.log_softmax(-1) + (1 - share) * log_source  # [..., V]


class SurfaceSoft(Surface):
    """``log p = log softmax(z + log p_src)`` with z the decoder's logits: what is returned is ``z + log p_src``."""

    def fused(self, logits: Tensor, log_source: Tensor) -> Tensor:
        return logits + log_source  # [..., V]
