"""The likeliest token at every step."""

from __future__ import annotations

import numpy as np

from zoo.export.runtime.constraints import constrain
from zoo.export.runtime.settings import Search
from zoo.export.runtime.steps import Steps, worth_dropping


def greedy(steps: Steps, search: Search) -> list[list[int]]:
    """What is written in each row, its end token included where it has one. Ended rows leave the batch."""
    logits = steps.logits()  # [R, V]
    rows = len(logits)
    written = np.full((rows, 1 + search.max_new_tokens), search.start, np.int64)  # [B, 1 + T]
    lengths = np.full(rows, search.max_new_tokens)
    places = np.arange(rows)  # [R]: where in `written` a row of the batch stands
    ended = np.zeros(rows, np.bool_)  # [R]
    for step in range(search.max_new_tokens):
        if search.constrained:
            constrain(logits, written[places, : step + 1], search)
        tokens = logits.argmax(axis=-1)  # [R]
        written[places, step + 1] = tokens
        ends = (tokens == search.end) & ~ended
        if ends.any():
            lengths[places[ends]] = step + 1
            ended |= ends
            if ended.all():
                break
            if worth_dropping(ended):
                kept = np.flatnonzero(~ended)
                steps.keep(kept)
                places, tokens, ended = places[kept], tokens[kept], ended[kept]
        if step + 1 < search.max_new_tokens:
            logits = steps.advance(tokens)
    return [row[1 : 1 + length].tolist() for row, length in zip(written, lengths, strict=True)]
