"""How an export compares with its model: logits from the cache, step by step, and greedy outputs."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import torch
from numpy.typing import NDArray

from zoo.export.contracts import Parity
from zoo.export.folder import ENCODER, FIRST_STEP, NEXT_STEP
from zoo.models.decoding import run_generate
from zoo.models.modes import evaluating

Array = NDArray[Any]


class Steps:
    """The three graphs of an export in onnxruntime, a step at a time."""

    def __init__(self, folder: Path) -> None:
        options = onnxruntime.SessionOptions()
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        self.encoder, self.first, self.next = (
            onnxruntime.InferenceSession(folder / name, options, providers=["CPUExecutionProvider"])
            for name in (ENCODER, FIRST_STEP, NEXT_STEP)
        )

    def begin(self, ids: Array, mask: Array, tokens: Array) -> tuple[Array, list[Array]]:
        """Source ids and mask ``[B, S]`` and start tokens ``[B, 1]`` -> logits ``[B, V]`` and the caches."""
        (states,) = self.encoder.run(None, {"input_ids": ids, "attention_mask": mask})
        logits, *caches = self.first.run(
            None, {"input_ids": tokens, "encoder_hidden_states": states, "encoder_attention_mask": mask}
        )
        return logits[:, -1], caches

    def go_on(self, mask: Array, tokens: Array, caches: list[Array]) -> tuple[Array, list[Array]]:
        """Tokens ``[B, 1]`` and the caches -> logits ``[B, V]`` and the caches, one token longer."""
        names = [item.name for item in self.next.get_inputs()]
        values = dict(zip(["input_ids", "encoder_attention_mask"], (tokens, mask), strict=True))
        held = [name for name in names if name.startswith("past_key_values.")]
        found = self.next.run(
            None, {**{name: values[name] for name in names if name in values}, **dict(zip(held, caches, strict=True))}
        )
        own = found[1:]
        grown = [own[2 * (index // 4) + index % 4] if index % 4 < 2 else cache for index, cache in enumerate(caches)]
        return found[0][:, -1], grown


def compared(model: Any, folder: Path, batches: Sequence[dict[str, Any]], *, max_new_tokens: int) -> Parity:
    """`Parity` over encoded `batches`: along torch's greedy outputs, so that one other token does not hide the rest."""
    steps = Steps(folder)
    examples = same = 0
    largest = 0.0
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
        logits, caches = steps.begin(ids.numpy(), mask.numpy(), targets[:, :1])
        for place in range(targets.shape[1] - 1):
            if place:
                logits, caches = steps.go_on(mask.numpy(), targets[:, place : place + 1], caches)
            rows = real[:, place]
            if rows.any():
                largest = max(largest, float(np.abs(logits[rows] - expected[rows, place]).max()))
            agrees &= ~rows | (logits.argmax(-1) == targets[:, place + 1])
        examples += len(targets)
        same += int(agrees.sum())
    return Parity(examples=examples, largest_difference=largest, same_outputs=same)


def _real(targets: Array, end: int) -> Array:
    """Which of the tokens ``[B, T]`` behind the start belong to the output, its end included."""
    ended = targets[:, 1:] == end
    return np.cumsum(ended, axis=1) - ended == 0
