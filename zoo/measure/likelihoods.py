"""How likely a model finds given outputs: what contrastive evaluation compares (Sennrich 2017, arXiv:1612.04629)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from zoo.errors import InputError
from zoo.measure.reading import reader_of, source_of
from zoo.models.modes import evaluating
from zoo.models.scores import negative_log_likelihood
from zoo.models.tokenizers import Tokenizers
from zoo.spec.options import Chosen
from zoo.tasks.contracts import Example, Progress, silent
from zoo.tasks.fitting import fitted

_IGNORED = -100


def target_likelihoods(
    model: Any,
    tokenizers: Tokenizers,
    examples: Sequence[Example],
    *,
    batch_size: int,
    max_tokens: int,
    progress: Progress = silent,
) -> list[NDArray[np.float64]]:
    """Log-probabilities in nats ``[1 + contrasts]`` of each example's target and contrasts, end token included.

    An example without contrasts has nothing to compare: ``[0]``. Context gives way where a source is longer than
    `max_tokens` (see `zoo.tasks.fitting`), then sources and outputs are cut there. They are scored longest first, so
    that too little memory shows at once.
    """
    examples = fitted(tokenizers.source, examples, max_tokens)
    outputs = [(index, text) for index, example in enumerate(examples) if example.contrasts
               for text in (example.target, *example.contrasts)]  # fmt: skip
    order = sorted(range(len(outputs)), key=lambda place: (-_length(examples, outputs[place]), place))
    scores = np.zeros(len(outputs))
    reader = reader_of(model, tokenizers)
    with evaluating(model):
        for start in range(0, len(order), batch_size):
            chosen = order[start : start + batch_size]
            sources = [source_of(examples[outputs[place][0]]) for place in chosen]
            texts = [outputs[place][1] for place in chosen]
            encoded = reader.encoded(sources, model.device, limit=max_tokens)
            labels = _labels(tokenizers.target, texts, model.device, max_tokens)  # [B, T]
            logits = model.target_logits(encoded, labels)  # [B, T, V]
            losses = negative_log_likelihood(
                logits.flatten(0, 1), labels.flatten(), log_probabilities=model.log_probabilities, reduction="none"
            ).view_as(labels)  # [B, T]
            scores[chosen] = -losses.double().sum(dim=-1).cpu().numpy()  # [B]
            progress("score contrasts", min(start + len(chosen), len(order)), len(order))
    rows: list[list[float]] = [[] for _ in examples]
    for (index, _), score in zip(outputs, scores, strict=True):
        rows[index].append(float(score))
    return [np.array(row or [0.0]) for row in rows]


def refuse_without_likelihoods(model: Any, metrics: Sequence[Chosen]) -> None:
    """Raise InputError where a metric reads likelihoods and `model` has none of its targets' tokens: before it is
    trained, not after."""
    for chosen in metrics:
        if model.own_loss and chosen.load().reads == "likelihoods":
            raise InputError(
                f"the metric '{chosen.name}' reads likelihoods of targets, which a {model.section.architecture} does "
                "not give: leave it out of evaluation.metrics"
            )


def _length(examples: Sequence[Example], output: tuple[int, str]) -> int:
    index, text = output
    return len(examples[index].source) + len(text)


def _labels(tokenizer: Any, texts: Sequence[str], device: torch.device, limit: int) -> Tensor:
    encoded = tokenizer(list(texts), padding=True, truncation=True, max_length=limit, return_tensors="pt")
    labels: Tensor = encoded["input_ids"].masked_fill(encoded["attention_mask"] == 0, _IGNORED)  # [B, T]
    return labels.to(device)
