"""The loss of one micro-batch, over its real target tokens only."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from zoo.models.modes import evaluating
from zoo.models.scores import negative_log_likelihood
from zoo.training.collate import Batch
from zoo.training.contracts import LossContext, TokenLoss


@contextmanager
def projecting_only(model: Any, places: Tensor | None) -> Iterator[None]:
    """Inside the block the model's output projection sees only the tokens at `places` ``[M]`` of ``[B * T]``.

    So padding costs no logits, and the real ones are not copied out of ``[B, T, V]``, the largest tensor of a step.
    """
    if places is None:
        yield
        return

    def choose(module: nn.Module, inputs: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
        # index_select, as its gradient is an index_add: indexing with [] sorts on a GPU.
        return (inputs[0].flatten(0, 1).index_select(0, places), *inputs[1:])  # [M, D]

    handle = model.get_output_embeddings().register_forward_pre_hook(choose)
    try:
        yield
    finally:
        handle.remove()


def real_logits(model: Any, batch: Batch, head_owner: Any = None, **inputs: Any) -> Tensor:
    """Logits of the real target tokens, ``[M, V]``. `head_owner` is the bare model where `model` is a wrapper."""
    with projecting_only(head_owner or model, batch.real):
        logits: Tensor = model(**batch.model_inputs(), **inputs).logits  # [M, V], or [B, T, V] where all are real
    flat: Tensor = logits.reshape(-1, logits.shape[-1])  # [M, V]
    return flat


def objective_sum(objective: TokenLoss, logits: Tensor, targets: Tensor, context: LossContext) -> Tensor:
    """Sum of the objective over tokens: logits ``[M, V]``, targets ``[M]`` -> ``[]``, float32."""
    losses: Tensor = objective(logits, targets, context)  # [M]
    return losses.float().sum()  # []


@torch.no_grad()
def dev_loss(model: Any, batches: Iterator[Batch], device: torch.device, precision: torch.dtype) -> float:
    """Mean cross-entropy per target token in nats, without dropout; the model's mode is put back."""
    total = torch.zeros((), dtype=torch.float64, device="cpu" if device.type == "mps" else device)
    tokens = 0
    with evaluating(model):
        for cpu_batch in batches:
            batch = cpu_batch.to(device)
            with autocast(device, precision):
                logits = real_logits(model, batch, use_cache=False)  # [M, V]
            taken = model.log_probabilities
            total += negative_log_likelihood(logits, batch.targets(), log_probabilities=taken, reduction="sum").to(
                total
            )
            tokens += batch.target_tokens
    return float(total) / max(1, tokens)


def autocast(device: torch.device, precision: torch.dtype) -> torch.autocast:
    """Mixed precision of the forward pass; none where `precision` is float32."""
    return torch.autocast(device.type, dtype=precision, enabled=precision is not torch.float32)
