"""A loss over a large vocabulary, a few tokens at a time, so that the logits of a whole batch never exist."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable
from torch.nn import functional as F

from zoo.training.contracts import LossContext, TokenLoss

ChunkLoss = Callable[[Tensor, Tensor, int, int], Tensor]
"""States of the tokens begin to end ``[m, D]`` and the matrix ``[V, D]``, begin, end -> sum of their losses ``[]``."""


@dataclass(frozen=True)
class Head:
    """What makes logits of a model's last states: a matrix, and a bias that is not trained."""

    weight: Tensor  # [V, D]
    bias: Tensor | None  # [V]

    @classmethod
    def of(cls, model: Any) -> Head:
        """The output matrix of a model whose logits nothing else enters (no output fusion)."""
        return cls(model.get_output_embeddings().weight, model.logit_bias)

    def __call__(self, states: Tensor, weight: Tensor | None = None) -> Tensor:
        """States ``[..., D]`` as the output matrix reads them -> logits ``[..., V]``; by `weight`, where one is given
        in the matrix's place."""
        logits = F.linear(states, self.weight if weight is None else weight)  # [..., V]
        return logits if self.bias is None else logits + self.bias


def chunked_objective_sum(
    objective: TokenLoss,
    states: Tensor,
    head: Head,
    targets: Tensor,
    context: LossContext,
    *,
    size: int,
    precision: Callable[[], torch.autocast],
) -> Tensor:
    """Sum of a `row_wise` objective over tokens, `size` at a time: ``[]``, float32, with its gradients.

    `states` ``[M, D]``, or ``[passes, M, D]``, are what the output matrix reads; targets ``[M]``. Logits are made in
    the mixed precision of `precision()`. Each chunk's gradient is taken at once, so that nothing of its logits is
    kept: beside the gradients of states and matrix, memory is needed for the logits of `size` tokens alone, and no
    product is made twice.
    """

    def loss_of(part: Tensor, weight: Tensor, begin: int, end: int) -> Tensor:
        with precision():
            logits = head(part, weight)  # [m, V] or [passes, m, V]
        examples = None if context.examples is None else context.examples[begin:end]
        losses: Tensor = objective(logits, targets[begin:end], replace(context, examples=examples))  # [m]
        return losses.float().sum()  # []

    found: Tensor = _SumOfChunks.apply(states, head.weight, loss_of, size)  # type: ignore[no-untyped-call]
    return found


class _SumOfChunks(torch.autograd.Function):
    """The sum, whose gradients the forward pass has taken already: they only wait for the factor of the whole."""

    @staticmethod
    def forward(ctx: Any, states: Tensor, weight: Tensor, loss_of: ChunkLoss, size: int) -> Tensor:
        of_states, of_weight = torch.zeros_like(states), torch.zeros_like(weight)
        total = torch.zeros((), dtype=torch.float32, device=states.device)
        count = states.shape[-2]
        for begin in range(0, count, size):
            end = min(begin + size, count)
            part = states[..., begin:end, :].detach().requires_grad_()  # [m, D] or [passes, m, D]
            matrix = weight.detach().requires_grad_()  # [V, D]
            with torch.enable_grad():
                loss = loss_of(part, matrix, begin, end)
            of_part, of_matrix = torch.autograd.grad(loss, (part, matrix))
            of_states[..., begin:end, :] = of_part
            of_weight += of_matrix
            total += loss.detach()
        ctx.gradients = of_states, of_weight
        return total

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, factor: Tensor) -> tuple[Tensor | None, ...]:
        if ctx.gradients is None:
            raise RuntimeError(
                "the gradients of a loss by chunks are there once: its graph cannot be gone through twice"
            )
        of_states, of_weight = ctx.gradients
        ctx.gradients = None  # they are as large as the matrix, and the graph lives on for a while
        return of_states.mul_(factor), of_weight.mul_(factor), None, None
