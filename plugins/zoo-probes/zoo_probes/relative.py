"""How far two sets of encoder states are apart, by layer."""

from __future__ import annotations

import torch
from torch import Tensor

from zoo.probes.contracts import ProbeResult, Series


class RelativeDifference:
    """Mean over real tokens of ``||a - b|| / ||b||`` for each layer, summed over batches in float64."""

    def __init__(self) -> None:
        self._sums: Tensor | None = None  # [L]
        self._tokens = 0

    def add(self, other: Tensor, states: Tensor, mask: Tensor) -> None:
        """States ``[B, L, S, D]`` and what they are compared to, mask ``[B, S]`` (nonzero = real)."""
        apart = torch.linalg.vector_norm((other - states).double(), dim=-1)  # [B, L, S]
        size = torch.linalg.vector_norm(states.double(), dim=-1)  # [B, L, S]
        # Equal states are no distance apart, though they be zero.
        ratio = torch.where(apart == 0, apart, apart / size)  # [B, L, S]
        sums = ratio.mul(mask[:, None] != 0).sum(dim=(0, 2)).cpu()  # [L]
        self._sums = sums if self._sums is None else self._sums + sums
        self._tokens += int(mask.ne(0).sum())

    def result(self) -> ProbeResult:
        """``difference`` of the top layer, and of each layer as a series; empty where nothing was added."""
        if self._sums is None or not self._tokens:
            return ProbeResult()
        layers = (self._sums / self._tokens).tolist()
        series = Series(
            axis="encoder layer (0: embeddings)",
            unit="relative difference",
            x=tuple(range(len(layers))),
            lines={"mean over tokens": layers},
        )
        return ProbeResult({"difference": layers[-1]}, {"by_layer": series})
