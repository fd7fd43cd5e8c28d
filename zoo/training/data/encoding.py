"""Examples as token ids, a chunk at a time: neither all texts nor all ids need fit in memory."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from io import BytesIO
from itertools import chain, islice
from typing import Any, BinaryIO

import numpy as np
import numpy.typing as npt

from zoo.errors import InputError, ZooError
from zoo.models.tokenizers import Tokenizers
from zoo.tasks import Example
from zoo.tasks.contracts import Progress, silent
from zoo.tasks.fitting import fitted
from zoo.training.data.ragged import EncodedPairs, Ragged, offsets_of

CHUNK = 2000
"""Examples that are encoded at once: enough for the tokenizers' threads."""


class SideWriter:
    """Ids and offsets of one side, written as they come to two binary streams in the layout of `Ragged`."""

    def __init__(self, ids: BinaryIO, offsets: BinaryIO) -> None:
        self._ids = ids
        self._offsets = offsets
        self._end = 0
        offsets.write(np.zeros(1, np.int64).tobytes())

    def add(self, sequences: Ragged) -> None:
        """Write these behind what stands there."""
        self._ids.write(sequences.ids.tobytes())
        self._offsets.write((sequences.offsets[1:] + self._end).tobytes())
        self._end += len(sequences.ids)


OpenSide = Callable[[str], SideWriter]
"""Begins a side, such as ``source``, ``target`` or ``context``."""


def encode_texts(tokenizer: Any, texts: Sequence[str]) -> Ragged:
    """Encode texts in order. Raises ZooError where the tokenizer does not end a sequence in eos."""
    rows = tokenizer(list(texts), return_attention_mask=False, return_token_type_ids=False)["input_ids"]
    ids = np.fromiter(chain.from_iterable(rows), dtype=np.int32)
    offsets = offsets_of(np.fromiter(map(len, rows), np.int64, len(rows)))
    ends = offsets[1:]
    if len(rows) and (np.diff(offsets).min() < 1 or (ids[ends - 1] != tokenizer.eos_token_id).any()):
        raise ZooError("the tokenizer does not end every sequence in its eos token, which training relies on")
    return Ragged(ids, offsets)


def encode_pairs(
    tokenizers: Tokenizers,
    examples: Sequence[Example],
    max_tokens: int,
    progress: Progress = silent,
    stage: str = "encoding",
) -> EncodedPairs:
    """Encode examples in memory: for many there is `zoo.training.data.encoded`.

    Context gives way until what is read has at most `max_tokens` tokens (eos counted), see `zoo.tasks.fitting`; those
    with more on any side even so are left out. Raises InputError where nothing is left.
    """
    sides, dropped = in_memory(lambda begin: write_sides(tokenizers, examples, max_tokens, begin, progress, stage))
    return EncodedPairs(sides["source"], sides["target"], dropped, sides.get("context"))


def in_memory(write: Callable[[OpenSide], int]) -> tuple[dict[str, Ragged], int]:
    """The sides that `write` makes, by name, and how many examples it left out."""
    streams: dict[str, tuple[BytesIO, BytesIO]] = {}

    def begin(side: str) -> SideWriter:
        streams[side] = BytesIO(), BytesIO()
        return SideWriter(*streams[side])

    dropped = write(begin)
    sides = {
        side: Ragged(np.frombuffer(ids.getbuffer(), np.int32), np.frombuffer(offsets.getbuffer(), np.int64))
        for side, (ids, offsets) in streams.items()
    }
    return sides, dropped


def write_sides(
    tokenizers: Tokenizers,
    examples: Sequence[Example],
    max_tokens: int,
    begin: OpenSide,
    progress: Progress = silent,
    stage: str = "encoding",
) -> int:
    """Encode as `encode_pairs`, each side to the writer that `begin` gives; returns how many examples were left out.

    The side ``context`` is begun only where an example has one. One chunk of examples is in memory at a time.
    """
    sources, targets = begin("source"), begin("target")
    contexts: SideWriter | None = None
    seen = kept = 0
    shortest: int | None = None
    for chunk in _chunks(tokenizers.source, examples, max_tokens):
        sides = [
            encode_texts(tokenizers.source, [example.source for example in chunk]),
            encode_texts(tokenizers.target, [example.target for example in chunk]),
        ]
        writers = [sources, targets]
        if contexts is None and any(example.context is not None for example in chunk):
            contexts = begin("context")
            contexts.add(_repeated(encode_texts(tokenizers.source, [""]), kept))
        if contexts is not None:
            sides.append(encode_texts(tokenizers.source, [example.context or "" for example in chunk]))
            writers.append(contexts)
        longest = np.max([side.lengths for side in sides], axis=0)
        shortest = int(min(longest.min(), longest[0] if shortest is None else shortest))
        keep = longest <= max_tokens
        for writer, side in zip(writers, sides, strict=True):
            writer.add(selected(side, keep))
        seen, kept = seen + len(chunk), kept + int(keep.sum())
        progress(stage, seen, len(examples))
    if not kept:
        found = "there are none" if shortest is None else f"the shortest of {seen} has {shortest}"
        raise InputError(f"training.max_tokens {max_tokens} leaves no example ({found})")
    return seen - kept


def _chunks(tokenizer: Any, examples: Sequence[Example], max_tokens: int) -> Iterator[list[Example]]:
    walk = iter(examples)
    while chunk := list(islice(walk, CHUNK)):
        yield fitted(tokenizer, chunk, max_tokens)


def selected(sequences: Ragged, keep: npt.NDArray[np.bool_]) -> Ragged:
    """The sequences that `keep` ``[N]`` names."""
    if keep.all():
        return sequences
    lengths = sequences.lengths
    return Ragged(sequences.ids[np.repeat(keep, lengths)], offsets_of(lengths[keep]))


def _repeated(one: Ragged, times: int) -> Ragged:
    return Ragged(np.tile(one.ids, times), np.arange(times + 1, dtype=np.int64) * len(one.ids))
