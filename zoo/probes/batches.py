"""Examples as one teacher-forced batch, and the loss of each of its tokens."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor

from zoo.models.scores import negative_log_likelihood
from zoo.models.tokenizers import Tokenizers
from zoo.tasks.contracts import Example

IGNORED = -100
"""The label of padding, by transformers' habit."""


@dataclass(frozen=True)
class ProbeBatch:
    """Sources and targets, padded on the right, on the model's device."""

    input_ids: Tensor  # [B, S]
    attention_mask: Tensor  # [B, S], 1 = real
    decoder_input_ids: Tensor  # [B, T], the labels moved right behind the start token, or a language model's separator
    labels: Tensor  # [B, T], IGNORED where padded
    context_input_ids: Tensor | None = None  # [B, C], the second input, where examples have one
    context_attention_mask: Tensor | None = None  # [B, C]

    def inputs(self) -> dict[str, Tensor]:
        """Keyword arguments of an encoder-decoder's forward pass; the loss is the probe's to compute."""
        named = {name: value for name, value in vars(self).items() if name != "labels"}
        return {name: value for name, value in named.items() if value is not None}

    def with_source(self, input_ids: Tensor, attention_mask: Tensor | None = None) -> ProbeBatch:
        """The batch with another source ``[B, S]``."""
        mask = self.attention_mask if attention_mask is None else attention_mask
        return replace(self, input_ids=input_ids, attention_mask=mask)


def teacher_forced(model: Any, tokenizers: Tokenizers, examples: Sequence[Example], *, max_tokens: int) -> ProbeBatch:
    """The batch of `examples`, on the model's device, each side cut at `max_tokens` tokens."""
    source = _encoded(tokenizers.source, [example.source for example in examples], max_tokens)
    target = _encoded(tokenizers.target, [example.target for example in examples], max_tokens)
    labels = target["input_ids"].masked_fill(target["attention_mask"] == 0, IGNORED).to(model.device)  # [B, T]
    context = None
    if any(example.context is not None for example in examples):
        context = _encoded(tokenizers.source, [example.context or "" for example in examples], max_tokens)
    return ProbeBatch(
        input_ids=source["input_ids"].to(model.device),
        attention_mask=source["attention_mask"].to(model.device),
        decoder_input_ids=_read(model, labels),
        labels=labels,
        context_input_ids=None if context is None else context["input_ids"].to(model.device),
        context_attention_mask=None if context is None else context["attention_mask"].to(model.device),
    )


def _read(model: Any, labels: Tensor) -> Tensor:
    """What the model reads of a target before it predicts each label ``[B, T]``."""
    if hasattr(model, "prepare_decoder_input_ids_from_labels"):
        prepared: Tensor = model.prepare_decoder_input_ids_from_labels(labels)
        return prepared  # [B, T]
    moved = torch.cat((torch.full_like(labels[:, :1], model.separator), labels[:, :-1]), dim=1)  # [B, T]
    return moved.masked_fill(moved == IGNORED, model.config.pad_token_id)


def target_logits(model: Any, batch: ProbeBatch) -> Tensor:
    """The logits ``[B, T, V]`` that predict the labels, of a model of any skeleton."""
    if getattr(model.config, "is_encoder_decoder", False):
        logits: Tensor = model(**batch.inputs(), use_cache=False).logits
        return logits
    encoded = {"input_ids": batch.input_ids, "attention_mask": batch.attention_mask}
    answered: Tensor = model.target_logits(encoded, batch.labels)
    return answered


def log_probabilities_of(model: Any) -> bool:
    """Whether a model's scores are log-probabilities to be taken as they are; those of transformers' own are logits."""
    return bool(getattr(model, "log_probabilities", False))


def token_losses(logits: Tensor, labels: Tensor, *, log_probabilities: bool = False) -> Tensor:
    """``-log p`` in nats of each label ``[B, T]`` under logits ``[B, T, V]``; 0 where a label is IGNORED.

    `log_probabilities` is what the model says of its scores.
    """
    flat = negative_log_likelihood(
        logits.flatten(0, 1), labels.flatten(), log_probabilities=log_probabilities, reduction="none"
    )  # [B * T]
    return flat.view_as(labels)  # [B, T]


class MeanLoss:
    """The mean over the real target tokens of several batches, summed in float64.

    `log_probabilities` is what the model says of its scores.
    """

    def __init__(self, *, log_probabilities: bool = False) -> None:
        self._taken = log_probabilities
        self._total = 0.0
        self._tokens = 0

    def add(self, logits: Tensor, labels: Tensor) -> None:
        """Count logits ``[B, T, V]`` against labels ``[B, T]``."""
        losses = token_losses(logits.detach(), labels, log_probabilities=self._taken)  # [B, T]
        self._total += float(losses.double().sum())
        self._tokens += int(labels.ne(IGNORED).sum())

    @property
    def value(self) -> float:
        """Nats per token. Raises ValueError where nothing was counted."""
        if not self._tokens:
            raise ValueError("a mean over no tokens")
        return self._total / self._tokens


def _encoded(tokenizer: Any, texts: Sequence[str], limit: int) -> dict[str, Tensor]:
    encoded: dict[str, Tensor] = tokenizer(
        list(texts), padding=True, truncation=True, max_length=limit, return_tensors="pt", padding_side="right"
    )
    return encoded


def real(labels: Tensor) -> Tensor:
    """Which labels ``[B, T]`` are tokens, and no padding."""
    return torch.ne(labels, IGNORED)
