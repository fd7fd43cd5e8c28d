"""How a model in another precision compares with itself in float32, both in torch."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor
from transformers import LogitsProcessor, LogitsProcessorList

from zoo.export.contracts import Parity
from zoo.export.differences import Differences
from zoo.models.decoding import run_generate
from zoo.models.modes import evaluating
from zoo_export.box_parity import compared_in_torch
from zoo_export.parity import parity_of, real_tokens


def compared(model: Any, held: Any, batches: Sequence[dict[str, Any]], *, max_new_tokens: int) -> Parity:
    """`Parity` of `held` over encoded `batches`. Where tokens are written one by one: step by step from the cache,
    along the greedy outputs of `model`, so that one other token does not hide the rest."""
    if model.finds_boxes:
        return compared_in_torch(model, held, batches)
    differences = Differences()
    examples = same = 0
    with evaluating(model), evaluating(held):
        for batch in batches:
            if model.section.decoder is None:
                agree = _frames(model, held, batch, differences, max_new_tokens)
            else:
                agree = _steps(model, held, batch, differences, max_new_tokens)
            examples += len(agree)
            same += sum(agree)
    return parity_of(examples, same, differences)


def _steps(model: Any, held: Any, batch: dict[str, Any], differences: Differences, longest: int) -> list[bool]:
    """Which of the batch's outputs are the same."""
    prompts = model.prompts(batch)
    written = model.written(run_generate(model, prompts, {}, max_new_tokens=longest), prompts)  # [B, 1 + T]
    expected = model.target_logits(batch, written[:, 1:])  # [B, T, V]
    real = real_tokens(written.numpy(), int(model.config.eos_token_id))  # [B, T]
    along = _Along(written[:, 1:], torch.from_numpy(real))
    with _logits_of(held) as steps:
        run_generate(held, prompts, {}, max_new_tokens=longest, logits_processor=LogitsProcessorList([along]))
    found = torch.stack(steps, dim=1)  # [B, T, V]
    differences.add(expected.numpy()[real], found.numpy()[real])
    return [bool(agrees) for agrees in along.agrees]


class _Along(LogitsProcessor):  # type: ignore[misc]
    """Has `generate` write given tokens, and notes where it would have written others."""

    def __init__(self, targets: Tensor, real: Tensor) -> None:
        """Tokens ``[B, T]``, and which of them belong to outputs."""
        self.agrees = torch.ones(len(targets), dtype=torch.bool)  # [B]
        self._targets, self._real, self._place = targets, real, 0

    def __call__(self, input_ids: Tensor, scores: Tensor) -> Tensor:
        """`scores` ``[B, V]`` are those that a token is chosen by: what is forced and banned has been so before."""
        target = self._targets[:, self._place]  # [B]
        self.agrees &= ~self._real[:, self._place] | (scores.argmax(-1) == target)
        self._place += 1
        return torch.full_like(scores, -torch.inf).scatter_(1, target[:, None], 0.0)


@contextmanager
def _logits_of(held: Any) -> Iterator[list[Tensor]]:
    """Within the block: logits ``[B, V]`` of the last token of each forward pass, in float32."""
    found: list[Tensor] = []
    hook = held.register_forward_hook(lambda module, given, output: found.append(output.logits[:, -1].float()))
    try:
        yield found
    finally:
        hook.remove()


def _frames(model: Any, held: Any, batch: dict[str, Any], differences: Differences, longest: int) -> list[bool]:
    """Of a CTC head: logits frame by frame, which both have as many of, and outputs."""
    one, other = (which(**batch, return_dict=True) for which in (model, held))
    inside = torch.arange(one.logits.shape[1]) < one.frames[:, None]  # [B, F]
    differences.add(one.logits[inside].numpy(), other.logits[inside].float().numpy())
    texts = [run_generate(which, batch, {}, max_new_tokens=longest).tolist() for which in (model, held)]
    end = int(model.config.eos_token_id)
    return [_ended(mine, end) == _ended(theirs, end) for mine, theirs in zip(*texts, strict=True)]


def _ended(row: list[int], end: int) -> list[int]:
    """An output without what pads it to the longest of its batch."""
    return row[: row.index(end) + 1] if end in row else row
