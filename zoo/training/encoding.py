"""Examples as token ids, in flat arrays."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Any

import numpy as np
import numpy.typing as npt

from zoo.errors import InputError, ZooError
from zoo.models.tokenizers import Tokenizers
from zoo.tasks import Example
from zoo.tasks.contracts import Progress, silent

Ids = npt.NDArray[np.int32]
Offsets = npt.NDArray[np.int64]
_CHUNK = 2000


@dataclass(frozen=True)
class Ragged:
    """Sequences of different lengths in one array: sequence i is ``ids[offsets[i]:offsets[i + 1]]``."""

    ids: Ids
    offsets: Offsets

    @property
    def lengths(self) -> Offsets:
        return np.diff(self.offsets)

    def __len__(self) -> int:
        return len(self.offsets) - 1

    def __getitem__(self, index: int) -> Ids:
        return self.ids[self.offsets[index] : self.offsets[index + 1]]

    def select(self, keep: npt.NDArray[np.bool_]) -> Ragged:
        """The sequences where `keep` is True."""
        lengths = self.lengths
        return Ragged(self.ids[np.repeat(keep, lengths)], _offsets(lengths[keep]))

    def padded(self, indices: npt.NDArray[np.int64], fill: int) -> npt.NDArray[np.int64]:
        """The chosen sequences as rows, filled up on the right: ``[B, L]``."""
        starts, lengths = self.offsets[indices], self.lengths[indices]
        columns = np.arange(lengths.max())
        inside = columns[None] < lengths[:, None]  # [B, L]
        where = np.where(inside, starts[:, None] + columns[None], 0)  # [B, L]
        return np.where(inside, self.ids[where], fill).astype(np.int64)  # [B, L]


@dataclass(frozen=True)
class EncodedPairs:
    """Source and target ids of the same examples; every sequence ends in eos."""

    sources: Ragged
    targets: Ragged
    dropped: int
    """Examples left out because one side was longer than the bound."""

    def __len__(self) -> int:
        return len(self.sources)


def _offsets(lengths: Offsets) -> Offsets:
    return np.concatenate([np.zeros(1, np.int64), np.cumsum(lengths, dtype=np.int64)])


def encode_texts(tokenizer: Any, texts: Sequence[str], progress: Progress = silent, stage: str = "encoding") -> Ragged:
    """Encode texts in order. Raises ZooError where the tokenizer does not end a sequence in eos."""

    def chunks() -> Iterator[list[list[int]]]:
        for start in range(0, len(texts), _CHUNK):
            encoded = tokenizer(
                list(texts[start : start + _CHUNK]), return_attention_mask=False, return_token_type_ids=False
            )
            progress(stage, min(start + _CHUNK, len(texts)), len(texts))
            yield encoded["input_ids"]

    parts: list[Ids] = []
    lengths: list[int] = []
    for rows in chunks():
        lengths.extend(map(len, rows))
        parts.append(np.fromiter(chain.from_iterable(rows), dtype=np.int32))
    ids = np.concatenate(parts) if parts else np.zeros(0, np.int32)
    ragged = Ragged(ids, _offsets(np.asarray(lengths, dtype=np.int64)))
    if len(texts) and (ragged.lengths.min() < 1 or (ids[ragged.offsets[1:] - 1] != tokenizer.eos_token_id).any()):
        raise ZooError("the tokenizer does not end every sequence in its eos token, which training relies on")
    return ragged


def encode_pairs(
    tokenizers: Tokenizers,
    examples: Sequence[Example],
    max_tokens: int,
    progress: Progress = silent,
    stage: str = "encoding",
) -> EncodedPairs:
    """Encode examples, leaving out those with more than `max_tokens` tokens (eos counted) on either side.

    Raises InputError where nothing is left.
    """
    sources = encode_texts(tokenizers.source, [example.source for example in examples], progress, f"{stage} sources")
    targets = encode_texts(tokenizers.target, [example.target for example in examples], progress, f"{stage} targets")
    keep = (sources.lengths <= max_tokens) & (targets.lengths <= max_tokens)
    if not keep.any():
        longest = int(np.maximum(sources.lengths, targets.lengths).min()) if len(sources) else 0
        found = f"the shortest of {len(sources)} has {longest}" if len(sources) else "there are none"
        raise InputError(f"training.max_tokens {max_tokens} leaves no example ({found})")
    dropped = int(len(keep) - keep.sum())
    if dropped:
        sources, targets = sources.select(keep), targets.select(keep)
    return EncodedPairs(sources, targets, dropped)
