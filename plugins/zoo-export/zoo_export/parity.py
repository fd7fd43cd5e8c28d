"""How an export compares with its model: logits from the cache, step by step, and greedy outputs."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from zoo.export.contracts import Parity
from zoo.export.differences import Differences
from zoo.export.runtime.sessions import open_graphs
from zoo.export.runtime.steps import CachedSteps
from zoo.models.decoding import run_generate
from zoo.models.modes import evaluating

Array = NDArray[Any]


def compared(model: Any, folder: Path, batches: Sequence[dict[str, Any]], *, max_new_tokens: int) -> Parity:
    """`Parity` over encoded `batches`, by the steps that users take: along torch's greedy outputs, so that one other
    token does not hide the rest."""
    graphs = open_graphs(folder, len(model.decoder.layers))
    start = int(model.config.decoder_start_token_id)
    examples = same = 0
    differences = Differences()
    for batch in batches:
        ids, mask = batch["input_ids"], batch["attention_mask"]
        with evaluating(model), torch.no_grad():
            written = run_generate(model, batch, {}, max_new_tokens=max_new_tokens)  # [B, 1 + T]
            expected = model(
                input_ids=ids, attention_mask=mask, decoder_input_ids=written[:, :-1], use_cache=False
            ).logits.numpy()  # [B, T, V]
        targets = written.numpy()
        real = _real(targets, int(model.config.eos_token_id))  # [B, T]
        agrees = np.ones(len(targets), dtype=bool)
        steps = CachedSteps(graphs, ids.numpy(), mask.numpy(), start)
        for place in range(targets.shape[1] - 1):
            logits = steps.advance(targets[:, place]) if place else steps.logits()  # [B, V]
            rows = real[:, place]
            differences.add(expected[rows, place], logits[rows])
            agrees &= ~rows | (logits.argmax(-1) == targets[:, place + 1])
        examples += len(targets)
        same += int(agrees.sum())
    return Parity(
        examples=examples,
        largest_difference=differences.largest,
        same_outputs=same,
        mean_difference=differences.mean,
        divergence=differences.divergence,
    )


def _real(targets: Array, end: int) -> Array:
    """Which of the tokens ``[B, T]`` behind the start belong to the output, its end included."""
    ended = targets[:, 1:] == end
    return np.cumsum(ended, axis=1) - ended == 0
