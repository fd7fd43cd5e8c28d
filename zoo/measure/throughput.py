"""Throughput: generated tokens a second, many sentences at once."""

from __future__ import annotations

import itertools
import time
from collections.abc import Sequence
from typing import Any

from zoo.measure.device import synchronize
from zoo.measure.generation import evaluating, generate_batch
from zoo.spec.sections import DecodingSection

REPEATS = 3


def tokens_per_second(
    model: Any,
    tokenizer: Any,
    sentences: Sequence[str],
    decoding: DecodingSection,
    *,
    batch: int,
    max_source_tokens: int,
    repeats: int = REPEATS,
) -> float:
    """Generated tokens a second over `repeats` batches of `batch` sentences, after one batch that is not counted.

    From texts to texts; the sentences are repeated until a batch is full. The end token of each sentence counts,
    padding and beams that lost do not. Raises ValueError without sentences.
    """
    if not sentences:
        raise ValueError("throughput needs at least one sentence")
    stream = itertools.cycle(sentences)
    batches = [list(itertools.islice(stream, batch)) for _ in range(repeats)]
    device = model.device
    tokens = 0
    with evaluating(model):
        generate_batch(model, tokenizer, batches[0], decoding, max_source_tokens=max_source_tokens)
        synchronize(device)
        start = time.perf_counter()
        for texts in batches:
            tokens += generate_batch(model, tokenizer, texts, decoding, max_source_tokens=max_source_tokens).tokens
        synchronize(device)
        seconds = time.perf_counter() - start
    return tokens / seconds
