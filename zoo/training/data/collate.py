"""From example indices to the tensors of one micro-batch."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass, replace
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from zoo.training.data.batching import MicroBatch
from zoo.training.data.ragged import EncodedPairs, Indices, Ragged, offsets_of

IGNORED = -100
"""The label of what is not to be predicted, by transformers' habit."""


@dataclass(frozen=True, kw_only=True)
class Batch(ABC):
    """One micro-batch, padded on the right to its longest row."""

    labels: Tensor  # [B, T], IGNORED where nothing is to be predicted
    real: Tensor | None
    """``[M]``: flat places of the M tokens to be predicted in ``[B * T]``; None where all are."""
    target_tokens: int
    """M."""
    source_tokens: int
    """Tokens, or patches, that are read."""
    examples: Tensor | None = None
    """``[M]``: which text each token to be predicted belongs to, as `LossContext.examples` says; None where nobody
    counted."""

    def to(self, device: torch.device) -> Batch:
        """The batch on another device."""
        if device.type == "cpu":
            return self
        tensors: dict[str, Any] = {name: value for name, value in vars(self).items() if isinstance(value, Tensor)}
        return replace(self, **{name: value.to(device, non_blocking=True) for name, value in tensors.items()})

    def targets(self) -> Tensor:
        """The M tokens to be predicted, ``[M]``."""
        flat = self.labels.reshape(-1)  # [B * T]
        return flat if self.real is None else flat[self.real]  # [M]

    @abstractmethod
    def model_inputs(self) -> dict[str, Tensor]:
        """Keyword arguments of the model's forward pass, each with the batch first. Without labels: the loss is the
        host's to compute."""


class Collating(Protocol):
    """Makes the batches of a layout."""

    def __call__(self, examples: MicroBatch | Indices) -> Batch:
        """The tensors of the chosen examples."""

    def predicted(self, indices: Indices) -> int:
        """How many tokens of the chosen examples are to be predicted."""


@dataclass(frozen=True, kw_only=True)
class PairBatch(Batch):
    """Sources, and targets apart from them, as encoder-decoders read them."""

    input_ids: Tensor  # [B, S]
    decoder_input_ids: Tensor  # [B, T], the targets moved right by one behind the start token
    attention_mask: Tensor | None
    """``[B, S]``, 1 = real; None where nothing is padded, which lets attention take its fast path, and where packed."""
    context_input_ids: Tensor | None = None  # [B, C], the second input
    context_attention_mask: Tensor | None = None  # [B, C], 1 = real; None where nothing is padded
    segment_ids: Tensor | None = None  # [B, S], packed rows: example 1, 2, ... of the row, 0 = padding
    decoder_segment_ids: Tensor | None = None  # [B, T]

    def model_inputs(self) -> dict[str, Tensor]:
        # No decoder mask: padding stands to the right of everything real, where causal attention never looks.
        inputs = {"input_ids": self.input_ids, "decoder_input_ids": self.decoder_input_ids}
        for name in (
            "attention_mask",
            "context_input_ids",
            "context_attention_mask",
            "segment_ids",
            "decoder_segment_ids",
        ):
            value = getattr(self, name)
            if value is not None:
                inputs[name] = value
        return inputs


class Collator:
    """Makes batches of sources and targets from encoded pairs."""

    def __init__(self, pairs: EncodedPairs, *, pad_id: int, start_id: int) -> None:
        self._pairs = pairs
        self._pad_id = pad_id
        self._start_id = start_id

    def predicted(self, indices: Indices) -> int:
        return int(self._pairs.targets.lengths_of(indices).sum())

    def __call__(self, examples: MicroBatch | Indices) -> PairBatch:
        chosen = examples if isinstance(examples, MicroBatch) else MicroBatch(examples)
        sources = Rows.of(self._pairs.sources, chosen)
        targets = Rows.of(self._pairs.targets, chosen)
        packed = chosen.rows is not None
        context = None if self._pairs.contexts is None else Rows.of(self._pairs.contexts, chosen)
        return PairBatch(
            input_ids=sources.filled(sources.tokens, self._pad_id),
            attention_mask=None if packed else sources.mask(),
            decoder_input_ids=targets.shifted(self._start_id, self._pad_id),
            labels=targets.filled(targets.tokens, IGNORED),
            real=None if targets.full else torch.from_numpy(targets.places),
            target_tokens=len(targets.tokens),
            source_tokens=len(sources.tokens),
            examples=targets.numbers(),
            context_input_ids=None if context is None else context.filled(context.tokens, self._pad_id),
            context_attention_mask=None if context is None else context.mask(),
            segment_ids=sources.segments() if packed else None,
            decoder_segment_ids=targets.segments() if packed else None,
        )


class Rows:
    """Tokens ``[M]``, one sequence behind the other, and their places in the batch's rows."""

    def __init__(self, tokens: npt.NDArray[Any], lengths: npt.NDArray[Any], rows: Indices | None) -> None:
        """`lengths`: of the sequences; `rows`: where each row begins among them, and the end; None is one a row."""
        self.tokens = tokens  # [M]
        self._lengths = lengths
        offsets = offsets_of(self._lengths)
        self._starts = offsets[:-1]  # of each sequence in `tokens`
        self._rows = np.arange(len(self._lengths) + 1) if rows is None else rows
        ends = offsets[self._rows]  # of rows in `tokens`
        used = np.diff(ends)  # tokens of each row
        self._shape = len(used), int(used.max())
        self.full = int(used.min()) == self._shape[1]
        shift = np.arange(len(used)) * self._shape[1] - ends[:-1]
        self.places = np.arange(len(self.tokens)) + np.repeat(shift, used)  # [M], in the flat [rows * width]

    @classmethod
    def of(cls, sequences: Ragged, chosen: MicroBatch) -> Rows:
        """The rows of the chosen sequences."""
        return cls(sequences.joined(chosen.indices), sequences.lengths_of(chosen.indices), chosen.rows)

    def filled(self, values: npt.NDArray[Any], fill: int) -> Tensor:
        """One value for each token ``[M]`` as rows, filled up on the right: ``[B, L]``."""
        rows = np.full(self._shape[0] * self._shape[1], fill, np.int64)
        rows[self.places] = values
        return torch.from_numpy(rows.reshape(self._shape))

    def shifted(self, start: int, fill: int) -> Tensor:
        """The rows moved right by one, each sequence behind `start`: ``[B, L]``."""
        rows = np.full(self._shape, fill, np.int64)
        rows[:, 1:] = self.filled(self.tokens, fill).numpy()[:, :-1]
        rows.reshape(-1)[self.places[self._starts]] = start
        return torch.from_numpy(rows)

    def mask(self) -> Tensor | None:
        """``[B, L]``, 1 = real; None where all are."""
        return None if self.full else self.filled(np.ones((), np.int64), 0)

    def numbers(self) -> Tensor:
        """``[M]``: which sequence of the batch each token belongs to, counted from 0."""
        return torch.from_numpy(np.repeat(np.arange(len(self._lengths)), self._lengths))

    def segments(self) -> Tensor:
        """``[B, L]``: which sequence of its row each token belongs to, counted from 1; 0 = padding."""
        number = np.arange(len(self._lengths)) - np.repeat(self._rows[:-1], np.diff(self._rows)) + 1
        return self.filled(np.repeat(number, self._lengths), 0)
