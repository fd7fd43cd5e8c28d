"""From scores over the vocabulary to the negative log-likelihood of tokens, and to the scores of beams."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Literal

from torch import Tensor, nn
from torch.nn import functional as F
from transformers import LogitsProcessor


def negative_log_likelihood(
    scores: Tensor, targets: Tensor, *, log_probabilities: bool, reduction: Literal["none", "mean", "sum"]
) -> Tensor:
    """``-log p(target)`` in float32, in nats: scores ``[M, V]``, targets ``[M]`` (-100 = ignored).

    `scores` are logits, or log-probabilities that are taken as they are, normalised or not: a model says which
    (`ZooForConditionalGeneration.log_probabilities`).
    """
    compute = F.nll_loss if log_probabilities else F.cross_entropy
    return compute(scores.float(), targets, reduction=reduction)  # [M] or []


class AsTheyAre(LogitsProcessor):  # type: ignore[misc]
    """Gives beam search the log-probabilities that a model gave, where it has normalised them.

    transformers' beam search adds up ``log_softmax`` of a model's scores. What that takes away from each row, the
    log-sum-exp of its scores, is read off each pass of the model and added again.
    """

    def __init__(self) -> None:
        self._taken: Tensor | None = None

    @contextmanager
    def reading(self, model: nn.Module) -> Iterator[None]:
        """Inside the block, every pass of `model` is read."""

        def read(module: nn.Module, inputs: Any, output: Any) -> None:
            self._taken = output.logits[:, -1].float().logsumexp(-1, keepdim=True)  # [B, 1]

        handle = model.register_forward_hook(read)
        try:
            yield
        finally:
            handle.remove()

    def __call__(self, input_ids: Tensor, scores: Tensor) -> Tensor:
        """Token ids so far ``[B, T]``, normalised scores ``[B, V]`` -> the model's ``[B, V]``."""
        if self._taken is None:
            raise RuntimeError("no pass of the model has been read")
        return scores + self._taken
