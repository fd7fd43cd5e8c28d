"""From sources to output texts: what evaluation scores and what the clocks time."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from zoo.measure.detecting import detect_batch
from zoo.measure.generating import generate_images
from zoo.measure.reading import key_of_source, reader_of
from zoo.models.decoding import Decoding
from zoo.models.modes import evaluating
from zoo.models.tokenizers import Tokenizers
from zoo.spec.detection_spec import DetectionSection
from zoo.spec.generator_spec import GenerationSection
from zoo.spec.outputs import Outputs
from zoo.spec.sections import DecodingSection
from zoo.tasks.contracts import Progress, silent
from zoo.tasks.images import Source


@dataclass(frozen=True)
class Generated:
    """Outputs in the order of their sources, and what decoding did."""

    outputs: tuple[Any, ...]
    """Texts, what a detector found in each image (`zoo.tasks.Detection`), or a generator's images."""
    tokens: int
    """Generated tokens of all outputs: the end token counts, the start token and padding do not. 0 where no
    text is written."""
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
        keys=[key_of_source(source) for source in sources],
    )


def generate_batch(
    model: Any, tokenizers: Tokenizers, sources: Sequence[Source], decoding: Outputs, *, max_source_tokens: int
) -> Generated:
    """Outputs of one batch, padded to its longest source. The model's mode is the caller's.

    A generator makes as many images as there are sources, and reads none of them.
    """
    if isinstance(decoding, DetectionSection):
        return Generated(tuple(detect_batch(model, sources, decoding)), tokens=0, unfinished=0, truncated=0)
    if isinstance(decoding, GenerationSection):
        return Generated(tuple(generate_images(model, len(sources), decoding)), tokens=0, unfinished=0, truncated=0)
    reader = reader_of(model, tokenizers)
    sources = reader.loaded(sources)
    encoded = reader.encoded(sources, model.device, limit=max_source_tokens)
    inputs = model.prompts(encoded)
    sequences = generate_ids(model, inputs, sources, decoding)
    sequences = model.written(sequences, inputs)  # [B, 1 + T]
    lengths, unfinished = generated_lengths(sequences, tokenizers.target.eos_token_id)
    return Generated(
        outputs=tuple(tokenizers.target.batch_decode(sequences, skip_special_tokens=True)),
        tokens=sum(lengths),
        unfinished=unfinished,
        truncated=reader.cut(encoded, max_source_tokens),
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
    lengths = reader_of(model, tokenizers).lengths(sources)
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
