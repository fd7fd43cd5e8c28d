"""How what CTranslate2 computes compares with the model: logits step by step from its cache, and greedy outputs."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch

from zoo.export.contracts import Parity
from zoo.export.differences import Differences
from zoo.export.runtime.ct2 import Ct2Engine
from zoo.export.runtime.settings import Search
from zoo.models.decoding import run_generate
from zoo.models.modes import evaluating


def compared(model: Any, folder: Path, batches: Sequence[dict[str, Any]], *, max_new_tokens: int) -> Parity:
    """`Parity` over encoded `batches`, by what users run: logits along torch's greedy outputs, so that one other token
    does not hide the rest, and outputs that it finds by itself."""
    engine = Ct2Engine(folder)
    generation = model.generation_config
    end = int(model.config.eos_token_id)
    banned = [tuple(tokens) for tokens in generation.bad_words_ids or []]
    search = Search(
        start=int(model.config.decoder_start_token_id),
        end=end,
        max_new_tokens=max_new_tokens,
        forced_first=generation.forced_bos_token_id,
        forced_last=generation.forced_eos_token_id,
        banned=tuple(tokens[0] for tokens in banned if len(tokens) == 1 and tokens[0] != end),
        banned_runs=tuple(tokens for tokens in banned if len(tokens) > 1),
    )
    examples = same = 0
    differences = Differences()
    for batch in batches:
        ids, mask = batch["input_ids"], batch["attention_mask"]
        with evaluating(model), torch.no_grad():
            written = run_generate(model, batch, {}, max_new_tokens=max_new_tokens)  # [B, 1 + T]
            expected = model.target_logits(batch, written[:, 1:]).numpy()  # [B, T, V]
        sources = [row[kept].tolist() for row, kept in zip(ids, mask.bool(), strict=True)]
        outputs = [_until(row, search.end) for row in written[:, 1:].tolist()]
        for logits, output, wanted in zip(
            engine.logits(sources, outputs, search.start), outputs, expected, strict=True
        ):
            if len(logits):  # [T, V]
                differences.add(wanted[: len(output)], logits)
        same += sum(own == output for own, output in zip(engine.written(sources, search), outputs, strict=True))
        examples += len(outputs)
    return Parity(
        examples=examples,
        largest_difference=differences.largest,
        same_outputs=same,
        mean_difference=differences.mean,
        divergence=differences.divergence,
    )


def _until(row: list[int], end: int) -> list[int]:
    """An output, its end token included where there is one."""
    return row[: row.index(end) + 1] if end in row else row
