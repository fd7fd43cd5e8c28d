"""Throughput: generated tokens and sentences a second, many sentences at once, batch size by batch size."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from typing import Any

from zoo.measure.batches import REPEATS, Rate, batch_of
from zoo.measure.device import synchronize
from zoo.measure.generation import generate_batch
from zoo.measure.oom import free_memory, is_out_of_memory
from zoo.models.modes import evaluating
from zoo.models.tokenizers import Tokenizers
from zoo.spec.outputs import Outputs
from zoo.tasks.images import Source


def rates(
    model: Any,
    tokenizers: Tokenizers,
    sentences: Sequence[Source],
    decoding: Outputs,
    *,
    batches: Sequence[int],
    max_source_tokens: int,
    repeats: int = REPEATS,
) -> Iterator[Rate]:
    """The rate of each batch size, the smallest first.

    A size that the memory does not hold is yielded as that ('oom'), never tried again as a smaller one; larger ones are
    'untried'. Raises ValueError without sentences.
    """
    full = False
    for batch in sorted(set(batches)):
        if full:
            yield Rate(batch, "untried")
            continue
        try:
            rate = rate_of(
                model,
                tokenizers,
                sentences,
                decoding,
                batch=batch,
                max_source_tokens=max_source_tokens,
                repeats=repeats,
            )
        except (MemoryError, RuntimeError) as error:
            if not is_out_of_memory(error):
                raise
            full = True
            rate = Rate(batch, "oom")
        if full:
            free_memory()
        yield rate


def rate_of(
    model: Any,
    tokenizers: Tokenizers,
    sentences: Sequence[Source],
    decoding: Outputs,
    *,
    batch: int,
    max_source_tokens: int,
    repeats: int = REPEATS,
) -> Rate:
    """Generated tokens and sentences a second over `repeats` batches of `batch` sentences, after one not counted.

    From texts, or images in memory, to texts; the sentences are repeated until a batch is full. The end token of each
    sentence counts, padding and beams that lost do not. Raises ValueError without sentences.
    """
    if not sentences:
        raise ValueError("throughput needs at least one sentence")
    stream = batch_of(sentences, batch * repeats)
    texts = [stream[start : start + batch] for start in range(0, batch * repeats, batch)]
    device = model.device
    tokens = 0
    with evaluating(model):
        generate_batch(model, tokenizers, texts[0], decoding, max_source_tokens=max_source_tokens)
        synchronize(device)
        start = time.perf_counter()
        for some in texts:
            tokens += generate_batch(model, tokenizers, some, decoding, max_source_tokens=max_source_tokens).tokens
        synchronize(device)
        seconds = time.perf_counter() - start
    return Rate(batch, "ok", tokens / seconds if model.writes_text else None, batch * repeats / seconds)
