"""How an export compares with its model: logits from the cache, step by step, and greedy outputs."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from zoo.export.contracts import Parity, UnfitError
from zoo.export.differences import Differences
from zoo.export.folder import FRAMES, WHOLE
from zoo.export.runtime.constraints import constrain
from zoo.export.runtime.sessions import TEXTS, open_graph, open_graphs, run
from zoo.export.runtime.settings import Search
from zoo.export.runtime.steps import CachedSteps, PromptSteps, Steps
from zoo.images.frames import best_path
from zoo.images.patches import PATCHES
from zoo.models.decoding import run_generate
from zoo.models.modes import evaluating

Array = NDArray[Any]


def compared(model: Any, folder: Path, batches: Sequence[dict[str, Any]], *, max_new_tokens: int) -> Parity:
    """`Parity` over encoded `batches`, by what users run. Where tokens are written one by one: along torch's greedy
    outputs, so that one other token does not hide the rest."""
    if model.section.decoder is None:
        return _compared_frames(model, folder, batches, max_new_tokens=max_new_tokens)
    reads = {"pair": TEXTS, "image": PATCHES}.get(model.arrangement)
    graphs = open_graphs(folder, model.section.decoder_layers, reads=reads)
    examples = same = 0
    differences = Differences()
    for batch in batches:
        with evaluating(model), torch.no_grad():
            prompts = model.prompts(batch)
            written = model.written(run_generate(model, prompts, {}, max_new_tokens=max_new_tokens), prompts)
            expected = model.target_logits(batch, written[:, 1:]).numpy()  # [B, T, V]
        targets = written.numpy()  # [B, 1 + T]
        search = _search(model, targets, max_new_tokens)
        real = real_tokens(targets, search.end)  # [B, T]
        agrees = np.ones(len(targets), dtype=bool)
        inputs = {name: tensor.numpy() for name, tensor in prompts.items()}
        steps: Steps
        if graphs.encoder is None:
            steps = PromptSteps(graphs, inputs["input_ids"], inputs["attention_mask"])
        else:
            steps = CachedSteps(graphs, inputs, search.start)
        for place in range(targets.shape[1] - 1):
            logits = steps.advance(targets[:, place]) if place else steps.logits()  # [B, V]
            rows = real[:, place]
            differences.add(expected[rows, place], logits[rows])
            if search.constrained:
                logits = logits.copy()
                constrain(logits, targets[:, : place + 1], search)
            agrees &= ~rows | (logits.argmax(-1) == targets[:, place + 1])
        examples += len(targets)
        same += int(agrees.sum())
    return parity_of(examples, same, differences)


def _compared_frames(model: Any, folder: Path, batches: Sequence[dict[str, Any]], *, max_new_tokens: int) -> Parity:
    """`Parity` of a CTC head: logits frame by frame."""
    session = open_graph(folder / WHOLE, None, PATCHES, ("logits", FRAMES))
    blank, end = model.blank, int(model.config.eos_token_id)
    examples = same = 0
    differences = Differences()
    for batch in batches:
        with evaluating(model), torch.no_grad():
            expected = model(**batch, return_dict=True)
            targets = run_generate(model, batch, {}, max_new_tokens=max_new_tokens).numpy()  # [B, 1 + T]
        found = run(session, {name: tensor.numpy() for name, tensor in batch.items()})
        frames = expected.frames.numpy()  # [B]
        if not np.array_equal(found[FRAMES], frames):
            raise UnfitError(f"images have {found[FRAMES].tolist()} frames in the export, {frames.tolist()} in torch")
        inside = np.arange(found["logits"].shape[1]) < frames[:, None]  # [B, F]
        differences.add(expected.logits.numpy()[inside], found["logits"][inside])
        best = found["logits"].argmax(axis=-1)  # [B, F]
        rows = best_path(best, found[FRAMES], blank=blank, end=end, longest=max_new_tokens)
        width = targets.shape[1] - 1
        for row, wanted in zip(rows, targets[:, 1:].tolist(), strict=True):
            same += [*row, *[blank] * (width - len(row))] == wanted  # padding is the blank, which no row has
        examples += len(rows)
    return parity_of(examples, same, differences)


def parity_of(examples: int, same: int, differences: Differences) -> Parity:
    """What was counted over all examples."""
    return Parity(
        examples=examples,
        largest_difference=differences.largest,
        same_outputs=same,
        mean_difference=differences.mean,
        divergence=differences.divergence,
    )


def _search(model: Any, targets: Array, max_new_tokens: int) -> Search:
    """The greedy search that made `targets` ``[B, 1 + T]``: what the model forces and bans holds, whatever its spec
    asks for."""
    config, generation = model.config, model.generation_config
    banned = [tuple(tokens) for tokens in generation.bad_words_ids or []]
    return Search(
        start=int(targets[0, 0]),
        end=int(config.eos_token_id),
        max_new_tokens=max_new_tokens,
        forced_first=generation.forced_bos_token_id,
        forced_last=generation.forced_eos_token_id,
        banned=tuple(run[0] for run in banned if len(run) == 1 and run[0] != config.eos_token_id),
        banned_runs=tuple(run for run in banned if len(run) > 1),
    )


def real_tokens(targets: Array, end: int) -> Array:
    """Which of the tokens ``[B, T]`` behind the start belong to the output, its end included."""
    ended = targets[:, 1:] == end
    return np.asarray(np.cumsum(ended, axis=1) - ended == 0)
