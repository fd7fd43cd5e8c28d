"""What the fusions over all layers have in common: the memory is one weighted sum of encoder outputs."""

from __future__ import annotations

from abc import abstractmethod

import torch
from torch import Tensor, nn

from zoo.models.contracts import Fusion, FusionContext, Memory
from zoo_fusion.options import LayersOptions


class Mixture(Fusion):
    """``M_k = norm(sum_l w_kl * h_l)``: keys and values of decoder layer k; `norm` may be the identity.

    A subclass says what `weights` are, which outputs are prepared how (`prepared`), and what `norm` is.
    """

    options: LayersOptions

    def __init__(self, options: LayersOptions, context: FusionContext) -> None:
        super().__init__(options, context)
        self.embeddings_before_positions = options.embeddings_before_positions
        self.first = 0 if options.include_embeddings else 1
        """The first encoder output that is read."""
        self.read = context.encoder_layers + 1 - self.first
        """How many encoder outputs are read: n."""

    @abstractmethod
    def weights(self, decoder_layer: int) -> Tensor:
        """The weight of each output read: ``[n]``, or ``[n, D]`` where features have their own."""

    def prepared(self, layer_states: Tensor) -> Tensor:
        """The outputs that are weighted, ``[B, n, S, D]``, from all of them ``[B, L, S, D]``."""
        return layer_states[:, self.first :]  # [B, n, S, D]

    def norm(self, decoder_layer: int) -> nn.LayerNorm | None:
        """The normalisation of the sum; None is none."""
        return None

    def memory(self, layer_states: Tensor, mask: Tensor | None, decoder_layer: int) -> Memory:
        weights = self._weights_left(decoder_layer)
        pattern = "n,bnsd->bsd" if weights.ndim == 1 else "nd,bnsd->bsd"
        mixed = torch.einsum(pattern, weights.to(layer_states), self.prepared(layer_states))  # [B, S, D]
        norm = self.norm(decoder_layer)
        mixed = mixed if norm is None else norm(mixed)  # [B, S, D]
        return Memory(mixed, mixed, mask)

    def contributions(self, layer_states: Tensor, decoder_layer: int) -> Tensor:
        weights = self._weights_left(decoder_layer)
        weights = weights[:, None] if weights.ndim == 1 else weights  # [n, 1 or D]
        terms = (weights[:, None] * self.prepared(layer_states)).transpose(0, 1)  # [n, B, S, D]
        norm = self.norm(decoder_layer)
        if norm is not None:
            scale = terms.sum(0).var(-1, unbiased=False, keepdim=True).add(norm.eps).rsqrt()  # [B, S, 1]
            terms = norm.weight * (terms - terms.mean(-1, keepdim=True)) * scale  # [n, B, S, D]
        unread = terms.new_zeros(self.first, *terms.shape[1:])  # [0 or 1, B, S, D]
        return torch.cat((unread, terms))  # [L, B, S, D]

    def _weights_left(self, decoder_layer: int) -> Tensor:
        """The weights, zero where an output is omitted."""
        weights = self.weights(decoder_layer)  # [n] or [n, D]
        if not self.omitted:
            return weights
        kept = [float(self.first + index not in self.omitted) for index in range(self.read)]
        left = torch.tensor(kept, dtype=weights.dtype, device=weights.device)  # [n]
        return weights * (left if weights.ndim == 1 else left[:, None])  # [n] or [n, D]
