"""What a model takes from each encoder output. Read only: nothing here changes the model."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor

from zoo.models.contracts import Fusion
from zoo.models.modes import evaluating

_ENCODER_INPUTS = frozenset(
    {"input_ids", "attention_mask", "inputs_embeds", "position_ids", "context_input_ids", "context_attention_mask"}
)


def layer_shares(model: Any, inputs: Mapping[str, Tensor]) -> Tensor:
    """The effective share of each encoder output in each decoder layer's values: ``[K, L]``, float32, rows sum to 1.

    ``||W_V t_l|| / sum_l' ||W_V t_l'||`` with t_l what output l adds to the memory (`Fusion.contributions`) and W_V the
    value matrix of that decoder layer's cross-attention, averaged over the real source tokens. Unlike a raw weight it
    does not change when a layer's scale moves between weight, state and matrix. Output 0 are the embeddings.

    `inputs` are keyword arguments of the model's encoder (`input_ids`, `attention_mask`, ...). Raises ValueError where
    the fusion's memory is no sum over layers. Dropout is off; the model's mode is put back.
    """
    with evaluating(model):
        return _layer_shares(model, inputs)


def _layer_shares(model: Any, inputs: Mapping[str, Tensor]) -> Tensor:
    given = {name: value for name, value in inputs.items() if name in _ENCODER_INPUTS}
    encoder, decoder, mask = model.get_encoder(), model.get_decoder(), inputs.get("attention_mask")
    fusion: Fusion = decoder.fusion
    states = model.states_for_fusion(encoder(**given))  # [B, L or 1, S, D]
    real = torch.ones_like(states[:, 0, :, 0], dtype=torch.bool) if mask is None else mask.bool()  # [B, S]
    outputs = fusion.context.encoder_layers + 1
    shares = []
    for index, layer in enumerate(decoder.layers):
        terms = fusion.contributions(states, index)  # [L, B, S, D]
        if terms is None:
            raise ValueError(f"the memory of {type(fusion).__name__} is no sum over encoder layers")
        if len(terms) < outputs:  # the fusion reads the top only
            terms = torch.cat((terms.new_zeros(outputs - len(terms), *terms.shape[1:]), terms))  # [L, B, S, D]
        matrix = layer.cross_attention.kv.weight.chunk(2)[1]  # [H Dh, D]
        values = terms[:, real].float() @ matrix.float().T  # [L, N, H Dh]
        norms = values.norm(dim=-1)  # [L, N]
        shares.append((norms / norms.sum(0).clamp_min(torch.finfo(norms.dtype).tiny)).mean(-1))  # [L]
    return torch.stack(shares)  # [K, L]


@contextmanager
def omitting(model: Any, *outputs: int) -> Iterator[None]:
    """Inside the block the model's fusion gives weight zero to these encoder outputs (0 = embeddings).

    Raises ValueError where the fusion's memory is no sum over layers, or has no such output to leave out.
    """
    fusion: Fusion = model.get_decoder().fusion
    known = range(fusion.context.encoder_layers + 1)
    if type(fusion).contributions is Fusion.contributions:
        raise ValueError(f"the memory of {type(fusion).__name__} is no sum over encoder layers")
    for output in outputs:
        if output not in known:
            raise ValueError(f"encoder output {output}: expected 0 to {known[-1]}")
    before = fusion.omitted
    fusion.omitted = before | frozenset(outputs)
    try:
        yield
    finally:
        fusion.omitted = before


def omission_losses(model: Any, inputs: Mapping[str, Tensor]) -> Tensor:
    """By how much the loss grows, in nats per target token, when each encoder output is left out alone: ``[L]``.

    `inputs` are keyword arguments of the model's forward pass, `labels` among them. Dropout is off; the model's mode is
    put back. Raises ValueError as `omitting`.
    """
    losses = []
    with evaluating(model):
        whole = model(**inputs).loss
        for output in range(model.get_decoder().fusion.context.encoder_layers + 1):
            with omitting(model, output):
                losses.append(model(**inputs).loss - whole)
    return torch.stack(losses).float()  # [L]
