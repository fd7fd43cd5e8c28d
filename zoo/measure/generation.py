"""From source texts to output texts: what evaluation scores and what the clocks time."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import torch
from torch import Tensor

from zoo.models.decoding import Decoding, key_of
from zoo.models.modes import evaluating
from zoo.models.tokenizers import Tokenizers
from zoo.spec.sections import DecodingSection
from zoo.tasks.contracts import Progress, silent

Source = str | tuple[str, str]
"""What a model reads: a text, or a text and the context that stands before it (for a second encoder)."""


class WithSource(Protocol):
    """An example, or what is shown of one."""

    @property
    def source(self) -> str: ...

    @property
    def context(self) -> str | None: ...


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


def source_of(example: WithSource) -> Source:
    """What a model reads of an example: its source, with its context where it has one."""
    return example.source if example.context is None else (example.source, example.context)


def text_of(source: Source) -> str:
    """The source without its context."""
    return source if isinstance(source, str) else source[0]


def encoded_sources(
    tokenizer: Any, sources: Sequence[Source], device: torch.device, *, limit: int
) -> dict[str, Tensor]:
    """``input_ids`` and ``attention_mask`` ``[B, S]`` on the device, padded to the longest source, cut at `limit`.

    Where sources come with contexts also ``context_input_ids`` and ``context_attention_mask`` ``[B, C]``.
    """
    read = [("", [text_of(source) for source in sources])]
    if any(not isinstance(source, str) for source in sources):
        read.append(("context_", ["" if isinstance(source, str) else source[1] for source in sources]))
    inputs: dict[str, Tensor] = {}
    for prefix, texts in read:
        encoded = tokenizer(texts, padding=True, truncation=True, max_length=limit, return_tensors="pt")
        inputs |= {prefix + name: encoded[name].to(device) for name in ("input_ids", "attention_mask")}
    return inputs


def generate_ids(
    model: Any,
    inputs: Mapping[str, Any],
    sources: Sequence[Source],
    decoding: DecodingSection,
) -> Tensor:
    """Token ids ``[B, 1 + T]`` as the spec's strategy chooses them; `inputs` are what the model's `generate` takes of
    the `sources`."""
    strategy: Decoding = decoding.strategy.create()
    return strategy.generate(
        model,
        inputs,
        # A table of positions has max_positions rows, and the decoder reads one position a new token.
        max_new_tokens=model.output_limit(decoding.max_new_tokens),
        keys=[key_of(source if isinstance(source, str) else "\n".join(source)) for source in sources],
    )


def generate_batch(
    model: Any, tokenizers: Tokenizers, sources: Sequence[Source], decoding: DecodingSection, *, max_source_tokens: int
) -> Generated:
    """Outputs of one batch, padded to its longest source. The model's mode is the caller's."""
    encoded = encoded_sources(tokenizers.source, sources, model.device, limit=max_source_tokens)
    mask = encoded["attention_mask"]  # [B, S]
    inputs = model.prompts(encoded)
    sequences = generate_ids(model, inputs, sources, decoding)
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
    sources: Sequence[Source],
    decoding: DecodingSection,
    *,
    max_source_tokens: int,
    progress: Progress = silent,
) -> Generated:
    """Outputs of all sources, in their order.

    Batches hold sources of like length, longest first: little padding, and too little
    memory shows at once.
    """
    lengths = (
        [len(ids) for ids in tokenizers.source([text_of(source) for source in sources])["input_ids"]] if sources else []
    )
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
