"""From source texts to output texts: what evaluation scores and what the clocks time."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from zoo.models.tokenizers import Tokenizers
from zoo.spec.sections import DecodingSection
from zoo.tasks.contracts import Progress, silent


@dataclass(frozen=True)
class Generated:
    """Outputs in the order of their sources, and what decoding did."""

    outputs: tuple[str, ...]
    tokens: int
    """Generated tokens of all outputs: the end token counts, the start token and padding do not."""
    unfinished: int
    """Outputs that met the length limit before an end token."""
    truncated: int
    """Sources cut to the model's longest sequence."""


@contextmanager
def evaluating(model: Any) -> Iterator[None]:
    """Put the model in evaluation mode (no dropout) without gradients; give its mode back afterwards."""
    training = model.training
    model.eval()
    try:
        with torch.no_grad():
            yield
    finally:
        model.train(training)


def generated_lengths(sequences: Tensor, eos: int) -> tuple[list[int], int]:
    """Tokens up to and including the first end token of each row, and how many rows have none.

    sequences ``[B, L]``, the start token first, as a skeleton's `written` gives them. Padding is not looked at: an
    untrained model may well generate the padding token.
    """
    body = sequences[:, 1:]  # [B, L-1]
    ended = body.eq(eos)  # [B, L-1]
    finished = ended.any(dim=-1)  # [B]
    first = ended.int().argmax(dim=-1) + 1  # [B]
    lengths = torch.where(finished, first, torch.full_like(first, body.shape[1]))  # [B]
    return [int(length) for length in lengths], int((~finished).sum())


def encoded_sources(tokenizer: Any, sources: Sequence[str], device: torch.device, *, limit: int) -> dict[str, Tensor]:
    """``input_ids`` and ``attention_mask`` ``[B, S]`` on the device, padded to the longest source, cut at `limit`."""
    encoded = tokenizer(list(sources), padding=True, truncation=True, max_length=limit, return_tensors="pt")
    return {name: encoded[name].to(device) for name in ("input_ids", "attention_mask")}


def generation_options(decoding: DecodingSection, *, max_source_tokens: int) -> dict[str, Any]:
    """What `generate` is told beside its inputs."""
    options: dict[str, Any] = {
        "num_beams": decoding.beams,
        "do_sample": False,
        # A table of positions has max_positions rows, and the decoder reads one position a new token.
        "max_new_tokens": min(decoding.max_new_tokens, max_source_tokens),
    }
    if decoding.beams > 1:
        options["length_penalty"] = decoding.length_penalty
    return options


def generate_batch(
    model: Any, tokenizers: Tokenizers, sources: Sequence[str], decoding: DecodingSection, *, max_source_tokens: int
) -> Generated:
    """Outputs of one batch, padded to its longest source. The model's mode is the caller's."""
    encoded = encoded_sources(tokenizers.source, sources, model.device, limit=max_source_tokens)
    mask = encoded["attention_mask"]  # [B, S]
    inputs = model.prompts(encoded)
    sequences = model.generate(**inputs, **generation_options(decoding, max_source_tokens=max_source_tokens))
    sequences = model.written(sequences, inputs)  # [B, 1 + T]
    lengths, unfinished = generated_lengths(sequences, tokenizers.target.eos_token_id)
    return Generated(
        outputs=tuple(tokenizers.target.batch_decode(sequences, skip_special_tokens=True)),
        tokens=sum(lengths),
        unfinished=unfinished,
        truncated=int((mask.sum(dim=-1) >= max_source_tokens).sum()) if mask.shape[1] >= max_source_tokens else 0,
    )


def generate_outputs(
    model: Any,
    tokenizers: Tokenizers,
    sources: Sequence[str],
    decoding: DecodingSection,
    *,
    max_source_tokens: int,
    progress: Progress = silent,
) -> Generated:
    """Outputs of all sources, in their order.

    Batches hold sources of like length, longest first: little padding, and too little
    memory shows at once.
    """
    lengths = [len(ids) for ids in tokenizers.source(list(sources))["input_ids"]] if sources else []
    order = sorted(range(len(sources)), key=lambda index: (-lengths[index], index))
    outputs = [""] * len(sources)
    tokens = unfinished = 0
    with evaluating(model):
        for start in range(0, len(order), decoding.batch_size):
            chosen = order[start : start + decoding.batch_size]
            batch = generate_batch(
                model,
                tokenizers,
                [sources[index] for index in chosen],
                decoding,
                max_source_tokens=max_source_tokens,
            )
            for index, output in zip(chosen, batch.outputs, strict=True):
                outputs[index] = output
            tokens += batch.tokens
            unfinished += batch.unfinished
            progress("generate", min(start + len(chosen), len(order)), len(order))
    truncated = sum(length > max_source_tokens for length in lengths)
    return Generated(tuple(outputs), tokens, unfinished, truncated)
