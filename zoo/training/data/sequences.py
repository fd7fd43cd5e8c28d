"""Source and target in one sequence, as language models read them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from zoo.training.data.batching import MicroBatch
from zoo.training.data.collate import IGNORED, Batch, Rows
from zoo.training.data.ragged import EncodedPairs, Indices, offsets_of


@dataclass(frozen=True, kw_only=True)
class SequenceBatch(Batch):
    """Sequences of source, separator and target: what is read is all but the last token, what is predicted all but the
    first, or the target alone."""

    input_ids: Tensor  # [B, L]
    prefix_mask: Tensor | None = None  # [B, L], of a prefix-lm: 1 = source
    segment_ids: Tensor | None = None  # [B, L], packed rows: example 1, 2, ... of the row, 0 = padding

    def model_inputs(self) -> dict[str, Tensor]:
        # No mask: padding stands to the right of everything real, where neither target nor prefix looks.
        inputs = {"input_ids": self.input_ids}
        for name in ("prefix_mask", "segment_ids"):
            value = getattr(self, name)
            if value is not None:
                inputs[name] = value
        return inputs


def row_lengths(pairs: EncodedPairs) -> npt.NDArray[np.int64]:
    """Tokens that are read of each example: the separator stands in the place of the source's eos."""
    return pairs.sources.lengths + pairs.targets.lengths - 1


class SequenceCollator:
    """Makes batches of sequences from encoded pairs.

    `prefix`: batches say which tokens are source. `source_loss`: the source's tokens are predicted too (the first one,
    which follows nothing, excepted).
    """

    def __init__(
        self, pairs: EncodedPairs, *, pad_id: int, separator: int, prefix: bool = False, source_loss: bool = False
    ) -> None:
        self._pairs = pairs
        self._pad_id = pad_id
        self._separator = separator
        self._prefix = prefix
        self._source_loss = source_loss

    def predicted(self, indices: Indices) -> int:
        targets = int(self._pairs.targets.lengths_of(indices).sum())
        return targets + int(self._pairs.sources.lengths_of(indices).sum() - len(indices)) * self._source_loss

    def __call__(self, examples: MicroBatch | Indices) -> SequenceBatch:
        chosen = examples if isinstance(examples, MicroBatch) else MicroBatch(examples)
        sources, targets = self._pairs.sources, self._pairs.targets
        before, after = sources.lengths_of(chosen.indices), targets.lengths_of(chosen.indices)  # [N] each
        offsets = offsets_of(before + after)
        starts, ends = offsets[:-1], offsets[1:]
        whole = np.empty(offsets[-1], np.int32)  # sources and targets, one example behind the other
        of_source = _within(starts, before, len(whole))
        whole[of_source] = sources.joined(chosen.indices)
        whole[~of_source] = targets.joined(chosen.indices)
        whole[starts + before - 1] = self._separator
        rows = Rows(np.delete(whole, ends - 1), before + after - 1, chosen.rows)
        labels = np.delete(whole, starts)  # [M], what follows each token
        prefix = np.delete(_within(starts, before - 1, len(whole)), ends - 1)  # [M], tokens before the separator
        wanted = np.ones_like(prefix) if self._source_loss else ~prefix
        texts = 2 * rows.numbers().numpy() + ~prefix  # [M], a source and its target are two
        return SequenceBatch(
            input_ids=rows.filled(rows.tokens, self._pad_id),
            labels=rows.filled(np.where(wanted, labels, IGNORED), IGNORED),
            real=None if rows.full and wanted.all() else torch.from_numpy(rows.places[wanted]),
            target_tokens=int(wanted.sum()),
            source_tokens=int(before.sum()),
            examples=torch.from_numpy(texts[wanted]),
            prefix_mask=rows.filled(prefix, 0) if self._prefix else None,
            segment_ids=None if chosen.rows is None else rows.segments(),
        )


def _within(starts: Indices, lengths: npt.NDArray[Any], total: int) -> npt.NDArray[np.bool_]:
    """``[total]``: the places in the first `lengths` of those from each of `starts` on."""
    steps = np.zeros(total + 1, np.int8)
    np.add.at(steps, starts, 1)
    np.add.at(steps, starts + lengths, -1)
    return steps[:-1].cumsum() > 0
