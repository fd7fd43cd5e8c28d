"""From example indices to the tensors of one micro-batch."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from torch import Tensor

from zoo.training.batching import Indices
from zoo.training.encoding import EncodedPairs

IGNORED = -100
"""The label of padding, by transformers' habit."""


@dataclass(frozen=True)
class Batch:
    """One micro-batch, padded on the right to its longest source and target."""

    input_ids: Tensor  # [B, S]
    attention_mask: Tensor | None
    """``[B, S]``, 1 = real; None where nothing is padded, which lets attention take its fast path."""
    decoder_input_ids: Tensor  # [B, T], the targets moved right by one behind the start token
    labels: Tensor  # [B, T], IGNORED where padded
    real: Tensor | None
    """``[M]``: flat places of the M real target tokens in ``[B * T]``; None where all are."""
    target_tokens: int
    """M."""
    source_tokens: int

    def to(self, device: torch.device) -> Batch:
        """The batch on another device."""
        if device.type == "cpu":
            return self
        tensors: dict[str, Any] = {name: value for name, value in vars(self).items() if isinstance(value, Tensor)}
        return replace(self, **{name: value.to(device, non_blocking=True) for name, value in tensors.items()})

    def targets(self) -> Tensor:
        """The M real target tokens, ``[M]``."""
        flat = self.labels.reshape(-1)  # [B * T]
        return flat if self.real is None else flat[self.real]  # [M]

    def model_inputs(self) -> dict[str, Tensor]:
        """Keyword arguments of the model's forward pass. Without labels: the loss is the host's to compute.

        No decoder mask is needed: padding stands to the right of everything real, where causal attention never looks.
        """
        inputs = {"input_ids": self.input_ids, "decoder_input_ids": self.decoder_input_ids}
        if self.attention_mask is not None:
            inputs["attention_mask"] = self.attention_mask
        return inputs


class Collator:
    """Makes batches from encoded pairs."""

    def __init__(self, pairs: EncodedPairs, *, pad_id: int, start_id: int) -> None:
        self._pairs = pairs
        self._pad_id = pad_id
        self._start_id = start_id

    def __call__(self, indices: Indices) -> Batch:
        sources = self._pairs.sources.padded(indices, self._pad_id)  # [B, S]
        source_lengths = self._pairs.sources.lengths[indices]  # [B]
        labels = self._pairs.targets.padded(indices, IGNORED)  # [B, T]
        target_lengths = self._pairs.targets.lengths[indices]  # [B]
        shifted = np.full_like(labels, self._start_id)
        shifted[:, 1:] = labels[:, :-1]
        shifted[shifted == IGNORED] = self._pad_id
        mask = None
        if source_lengths.min() < sources.shape[1]:
            mask = torch.from_numpy((np.arange(sources.shape[1]) < source_lengths[:, None]).astype(np.int64))  # [B, S]
        real = None
        if target_lengths.min() < labels.shape[1]:
            real = torch.from_numpy(np.flatnonzero(labels.reshape(-1) != IGNORED))  # [M]
        return Batch(
            input_ids=torch.from_numpy(sources),
            attention_mask=mask,
            decoder_input_ids=torch.from_numpy(shifted),
            labels=torch.from_numpy(labels),
            real=real,
            target_tokens=int(target_lengths.sum()),
            source_tokens=int(source_lengths.sum()),
        )
