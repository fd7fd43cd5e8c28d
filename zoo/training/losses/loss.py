"""The loss of one micro-batch, over its real target tokens only."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

import torch
from torch import Tensor

from zoo.models.modes import evaluating
from zoo.models.scores import negative_log_likelihood
from zoo.training.contracts import LossContext, TokenLoss
from zoo.training.data.collate import Batch
from zoo.training.losses.chunks import Head, chunked_objective_sum


@contextmanager
def projecting_only(model: Any, places: Tensor | None) -> Iterator[None]:
    """Inside the block the model's output projection sees only the tokens at `places` ``[M]`` of ``[B * T]``.

    So padding costs no logits, and the real ones are not copied out of ``[B, T, V]``, the largest tensor of a step.
    """
    if places is None:
        yield
        return
    with _before_projection(model, lambda states: _chosen(states, places)):
        yield


@contextmanager
def _before_projection(model: Any, change: Callable[[Tensor], Tensor]) -> Iterator[None]:
    """Inside the block the model's output projection sees `change` of what it would have seen, ``[B, T, D]``."""
    handle = model.get_output_embeddings().register_forward_pre_hook(
        lambda module, inputs: (change(inputs[0]), *inputs[1:])
    )
    try:
        yield
    finally:
        handle.remove()


def _chosen(states: Tensor, places: Tensor | None) -> Tensor:
    """The states ``[M, D]`` at `places` ``[M]`` of ``[B, T, D]``, or all ``[B * T, D]``."""
    flat = states.flatten(0, 1)  # [B * T, D]
    # index_select, as its gradient is an index_add: indexing with [] sorts on a GPU.
    return flat if places is None else flat.index_select(0, places)


def _repeated(batch: Batch, passes: int) -> tuple[dict[str, Tensor], Tensor | None]:
    """The model's inputs with every row `passes` times, ``[passes * B, ...]``, and the places ``[passes * M]``.

    One pass over repeated rows, not one after the other: the memory is the same, as gradients go through all of them,
    and processes that train together meet once. Each row draws dropout masks of its own.
    """
    inputs = batch.model_inputs()
    if passes == 1:
        return inputs, batch.real
    shift = torch.arange(passes, device=batch.labels.device)[:, None] * batch.labels.numel()  # [passes, 1]
    places = None if batch.real is None else (batch.real + shift).flatten()  # [passes * M]
    return {name: torch.cat([item] * passes) for name, item in inputs.items()}, places


def real_logits(model: Any, batch: Batch, head_owner: Any = None, passes: int = 1, **inputs: Any) -> Tensor:
    """Logits of the real target tokens, ``[M, V]``; of several passes ``[passes, M, V]``.

    `head_owner` is the bare model where `model` is a wrapper.
    """
    own, places = _repeated(batch, passes)
    with projecting_only(head_owner or model, places):
        logits: Tensor = model(**own, **inputs).logits  # [passes * M, V], or [passes * B, T, V] where all are real
    return logits.reshape(*_leading(passes), -1, logits.shape[-1])


def real_states(model: Any, batch: Batch, head_owner: Any = None, passes: int = 1, **inputs: Any) -> Tensor:
    """What the output matrix reads of the real target tokens, ``[M, D]`` or ``[passes, M, D]``; no logits are made."""
    own, places = _repeated(batch, passes)
    seen: list[Tensor] = []

    def take(states: Tensor) -> Tensor:
        seen.append(states)
        return states.flatten(0, 1)[:0]  # [0, D]

    with _before_projection(head_owner or model, take):
        model(**own, **inputs)
    states = _chosen(seen[0], places)  # [passes * M, D]
    return states.reshape(*_leading(passes), -1, states.shape[-1])


def _leading(passes: int) -> tuple[int, ...]:
    return () if passes == 1 else (passes,)


def objective_sum(objective: TokenLoss, logits: Tensor, targets: Tensor, context: LossContext) -> Tensor:
    """Sum of the objective over tokens: logits ``[M, V]``, targets ``[M]`` -> ``[]``, float32."""
    losses: Tensor = objective(logits, targets, context)  # [M]
    return losses.float().sum()  # []


def micro_batch_objective(
    objective: TokenLoss,
    model: Any,
    batch: Batch,
    context: LossContext,
    *,
    device: torch.device,
    precision: torch.dtype,
    chunk: int | None = None,
    head_owner: Any = None,
) -> Tensor:
    """Sum of the objective over a micro-batch's real target tokens, ``[]``, float32; with `own_loss` the model's.

    With `chunk`, logits are made for as many tokens at a time, of a `row_wise` objective and a model without output
    fusion; the sum and its gradients are the same up to rounding.
    """
    mixed = partial(autocast, device, precision)
    if (head_owner or model).own_loss:
        with mixed():
            return own_loss_sum(model, batch)
    given = {"head_owner": head_owner, "passes": objective.passes, "use_cache": False}
    if chunk is None:
        with mixed():
            logits = real_logits(model, batch, **given)  # [M, V] or [passes, M, V]
        return objective_sum(objective, logits, batch.targets(), context)
    with mixed():
        states = real_states(model, batch, **given)  # [M, D] or [passes, M, D]
    head = Head.of(head_owner or model)
    return chunked_objective_sum(objective, states, head, batch.targets(), context, size=chunk, precision=mixed)


def own_loss_sum(model: Any, batch: Batch) -> Tensor:
    """The sum, ``[]``, float32, of a loss that is the model's own business (CTC)."""
    loss: Tensor = model(**batch.model_inputs(), labels=batch.labels, num_items_in_batch=1).loss
    return loss.float()


@torch.no_grad()
def dev_loss(
    model: Any, batches: Iterator[Batch], device: torch.device, precision: torch.dtype, chunk: int | None = None
) -> float:
    """Mean cross-entropy (or what a model with `own_loss` has) per target token in nats, without dropout; the model's
    mode is put back.

    With `chunk`, logits are made for as many tokens at a time.
    """
    total = torch.zeros((), dtype=torch.float64, device="cpu" if device.type == "mps" else device)
    tokens = 0
    with evaluating(model):
        for cpu_batch in batches:
            batch = cpu_batch.to(device)
            tokens += batch.target_tokens
            if model.own_loss:
                with autocast(device, precision):
                    total += own_loss_sum(model, batch).to(total)
                continue
            for logits, targets in _logits_and_targets(model, batch, device, precision, chunk):
                taken = model.log_probabilities
                total += negative_log_likelihood(logits, targets, log_probabilities=taken, reduction="sum").to(total)
    return float(total) / max(1, tokens)


def _logits_and_targets(
    model: Any, batch: Batch, device: torch.device, precision: torch.dtype, chunk: int | None
) -> Iterator[tuple[Tensor, Tensor]]:
    """Logits ``[m, V]`` and targets ``[m]`` of `chunk` tokens at a time, or of all at once."""
    if chunk is None:
        with autocast(device, precision):
            logits = real_logits(model, batch, use_cache=False)  # [M, V]
        yield logits, batch.targets()
        return
    with autocast(device, precision):
        states = real_states(model, batch, use_cache=False)  # [M, D]
    head = Head.of(model)
    for part, targets in zip(torch.split(states, chunk), torch.split(batch.targets(), chunk), strict=True):
        with autocast(device, precision):
            logits = head(part)  # [m, V]
        yield logits, targets


def autocast(device: torch.device, precision: torch.dtype) -> torch.autocast:
    """Mixed precision of the forward pass; none where `precision` is float32."""
    return torch.autocast(device.type, dtype=precision, enabled=precision is not torch.float32)
