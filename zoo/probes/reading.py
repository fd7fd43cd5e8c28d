"""What a probe reads inside a model, for every model that keeps transformers' habits."""

from __future__ import annotations

import inspect
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from zoo.errors import InputError
from zoo.models._compat import CACHE, cached_keys_and_values, new_cache, new_self_attention_cache
from zoo.probes.batches import ProbeBatch, real


def encoder_of(model: Any, probe: str) -> Any:
    """The encoder. Raises InputError, naming the probe, where the model has none."""
    if not getattr(model.config, "is_encoder_decoder", False):
        raise InputError(f"the probe '{probe}' reads an encoder, and {type(model).__name__} has none")
    return model.get_encoder()


def is_sequence(model: Any) -> bool:
    """Whether source and target are one sequence, with a separator between, as in a language model."""
    return getattr(model, "arrangement", "pair") == "sequence"


def takes_positions(module: Any) -> bool:
    """Whether the module's forward pass can be told where its tokens stand (``position_ids``)."""
    return "position_ids" in inspect.signature(module.forward).parameters


def encoder_states(encoder: Any, batch: ProbeBatch, positions: Tensor | None = None) -> Tensor:
    """Outputs of every layer, embeddings first: ``[B, layers + 1, S, D]``, padding included.

    `positions` ``[B or 1, S]`` place the tokens, for encoders that `takes_positions`.
    """
    placed = {} if positions is None else {"position_ids": positions}
    output = encoder(
        input_ids=batch.input_ids, attention_mask=batch.attention_mask, output_hidden_states=True, **placed
    )
    return torch.stack(tuple(output.hidden_states), dim=1)  # [B, L, S, D]


@dataclass(frozen=True)
class CrossAttention:
    """What one decoder layer's cross-attention did."""

    weights: Tensor  # [B, H, T, S]
    values: Tensor  # [B, H, S, Dh]


def cross_attention(model: Any, batch: ProbeBatch) -> list[CrossAttention]:
    """Weights and values of every decoder layer of a teacher-forced pass.

    Raises InputError where the model gives none, or attends to something else than its source.
    """
    with _weights_shown(model):
        output = model(**batch.inputs(), use_cache=True, output_attentions=True, return_dict=True)
    weights = output.cross_attentions
    if not weights:
        raise InputError(f"{type(model).__name__} has no cross-attention to read")
    if weights[0].shape[-1] != batch.input_ids.shape[1]:
        raise InputError(f"the decoder of {type(model).__name__} attends to something else than its source's tokens")
    cache = getattr(output, CACHE).cross_attention_cache
    return [CrossAttention(item, cached_keys_and_values(cache, layer)[1]) for layer, item in enumerate(weights)]


def self_attention(model: Any, inputs: dict[str, Tensor]) -> Sequence[Tensor]:
    """Attention weights ``[B, H, L, L]`` of every layer of a decoder-only model. Raises InputError without any."""
    with _weights_shown(model):
        weights: Sequence[Tensor] = model(**inputs, output_attentions=True, return_dict=True).attentions
    if not weights:
        raise InputError(f"{type(model).__name__} gives no attention weights to read")
    return weights


def decoder_logits(model: Any, batch: ProbeBatch, memory: Any, memory_mask: Tensor) -> Tensor:
    """Logits ``[B, T, V]`` over what the encoder returned (`memory`), of which `memory_mask` ``[B, S]`` is seen."""
    logits: Tensor = model(
        encoder_outputs=memory, attention_mask=memory_mask, decoder_input_ids=batch.decoder_input_ids, use_cache=False
    ).logits
    return logits  # [B, T, V]


def encoded(model: Any, batch: ProbeBatch) -> Any:
    """What the encoder returns for the batch, as the decoder takes it."""
    inputs = {name: value for name, value in batch.inputs().items() if not name.startswith("decoder_")}
    return model.get_encoder()(**inputs, return_dict=True)


def cached_logits(model: Any, batch: ProbeBatch) -> Iterator[Tensor]:
    """Logits ``[B, V]`` of each target token in turn, decoded one by one from a cache as `generate` does."""
    yield from _cached_in_sequence(model, batch) if is_sequence(model) else _cached_in_decoder(model, batch)


def _cached_in_decoder(model: Any, batch: ProbeBatch) -> Iterator[Tensor]:
    memory, cache = encoded(model, batch), new_cache()
    for step in range(batch.decoder_input_ids.shape[1]):
        output = model(
            encoder_outputs=memory,
            attention_mask=batch.attention_mask,
            decoder_input_ids=batch.decoder_input_ids[:, step : step + 1],
            use_cache=True,
            **{CACHE: cache},
        )
        cache = getattr(output, CACHE)
        yield output.logits[:, -1]  # [B, V]


def _cached_in_sequence(model: Any, batch: ProbeBatch) -> Iterator[Tensor]:
    """Behind sources that are read at once, the separator being the first token of the target."""
    prompt = model.read_source({"input_ids": batch.input_ids, "attention_mask": batch.attention_mask})
    cache, mask = prompt.get(CACHE), prompt["attention_mask"]  # [B, S]
    if cache is None:
        cache = new_self_attention_cache()  # empty sources: there was nothing to read
    for step in range(batch.decoder_input_ids.shape[1]):
        if step:
            mask = torch.cat((mask, real(batch.labels[:, step - 1 : step]).to(mask)), dim=1)  # [B, S + step]
        output = model(batch.decoder_input_ids[:, step : step + 1], mask, use_cache=True, **{CACHE: cache})
        yield output.logits[:, -1]  # [B, V]


@contextmanager
def _weights_shown(model: Any) -> Iterator[None]:
    """Inside the block the model writes its attention weights out; our own does wherever it is asked."""
    before = model.config._attn_implementation
    if before == "eager" or str(before).startswith("zoo_"):
        yield
        return
    model.set_attn_implementation("eager")
    try:
        yield
    finally:
        model.set_attn_implementation(before)
