"""Generation in its two parts: reading the source, once a sentence, and writing, once a token."""

from __future__ import annotations

import itertools
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from zoo.measure.device import synchronize
from zoo.measure.distribution import Measured
from zoo.measure.generation import generate_ids, generated_lengths
from zoo.measure.latency import no_collector
from zoo.measure.reading import reader_of
from zoo.models.modes import evaluating
from zoo.models.tokenizers import Tokenizers
from zoo.spec.sections import DecodingSection
from zoo.tasks.images import Source


@dataclass(frozen=True)
class Split:
    """Seconds of the two parts, sentence by sentence. ``encode + tokens * decode_per_token`` is a sentence's time in
    the model (text to tokens and back, and image to patches, not included)."""

    encode: Measured
    decode_per_token: Measured
    tokens: tuple[int, ...]
    """Generated tokens of each sample: the end token counts."""


def split_times(
    model: Any,
    tokenizers: Tokenizers,
    sentences: Sequence[Source],
    decoding: DecodingSection,
    *,
    samples: int,
    max_source_tokens: int,
) -> Split:
    """Reading alone (the encoder; a language model's pass over the source), then `generate` from what that gave, over
    the tokens generated; one sentence at a time.

    What `generate` itself costs a call is in the decoder's part. Warm up first. Raises ValueError without sentences.
    """
    if not sentences:
        raise ValueError("a split needs at least one sentence")
    device, reader = model.device, reader_of(model, tokenizers)
    encode: list[float] = []
    decode: list[float] = []
    tokens: list[int] = []
    with evaluating(model), no_collector():
        for sentence in itertools.islice(itertools.cycle(sentences), samples):
            encoded = reader.encoded([sentence], device, limit=max_source_tokens)
            synchronize(device)
            start = time.perf_counter()
            read = model.read_source(encoded)
            synchronize(device)
            between = time.perf_counter()
            sequences = generate_ids(model, read, [sentence], decoding)
            synchronize(device)
            end = time.perf_counter()
            lengths, _ = generated_lengths(model.written(sequences, read), tokenizers.target.eos_token_id)
            encode.append(between - start)
            tokens.append(lengths[0])
            decode.append((end - between) / lengths[0])
    return Split(Measured(tuple(encode), "s"), Measured(tuple(decode), "s"), tuple(tokens))
