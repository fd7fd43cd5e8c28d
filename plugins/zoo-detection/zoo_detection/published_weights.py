"""The initial weights of RT-DETR and D-FINE, as the papers' code has them."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import nn

_SURE = 0.01
"""How sure an untrained detector is of any class (arXiv:1708.02002, section 3.3)."""


def begin_as_published(model: Any) -> None:
    """Draw the weights of transformers' `RTDetrModel` or `DFineModel`, without a backbone, in place.

    transformers draws all with a deviation of .01, those of batch normalisation too, about 0, which pretrained weights
    then replace; and with one class it is half sure of it everywhere.
    """
    for module in model.modules():
        if isinstance(module, (nn.Linear, nn.Conv2d, nn.BatchNorm2d, nn.LayerNorm, nn.Embedding)):
            module.reset_parameters()
    for module in model.modules():
        attention, deformable = getattr(module, "self_attn", None), getattr(module, "encoder_attn", None)
        if attention is not None:
            # Torch's attention draws the three as one matrix, of four times as many rows and columns as each has.
            for projection in (attention.q_proj, attention.k_proj, attention.v_proj):
                nn.init.xavier_uniform_(projection.weight, gain=1 / math.sqrt(2))
            for name, projection in attention.named_children():
                if name.endswith("_proj"):
                    nn.init.zeros_(projection.bias)
        if deformable is not None:
            _begin_deformable(deformable)
        if hasattr(module, "gateway"):
            _zero(module.gateway.gate)
    for layer in (model.enc_output[0], *model.decoder.query_pos_head.layers):
        nn.init.xavier_uniform_(layer.weight)
    for layer in (model.enc_score_head, *model.decoder.class_embed):
        nn.init.constant_(layer.bias, -math.log((1 - _SURE) / _SURE))
    corrections = [model.enc_bbox_head, *model.decoder.bbox_embed]
    if hasattr(model.decoder, "pre_bbox_head"):
        corrections += [model.decoder.pre_bbox_head, *(layer.reg_conf for layer in model.decoder.lqe_layers)]
    for head in corrections:
        _zero(head.layers[-1])


def _zero(layer: nn.Linear) -> None:
    nn.init.zeros_(layer.weight)
    nn.init.zeros_(layer.bias)


def _begin_deformable(attention: Any) -> None:
    """Each head looks in a direction of its own, its points 1, 2, ... steps away (arXiv:2010.04159, appendix A.4)."""
    _zero(attention.sampling_offsets)
    _zero(attention.attention_weights)
    heads = attention.n_heads
    angles = torch.arange(heads) * (2 * math.pi / heads)
    towards = torch.stack((angles.cos(), angles.sin()), dim=-1)
    towards = towards / towards.abs().amax(-1, keepdim=True)  # [heads, 2]
    steps = attention.sampling_offsets.bias.shape[0] // (2 * heads * attention.n_levels)
    away = torch.arange(1, steps + 1).repeat(attention.n_levels)  # [levels * points]
    bias = towards[:, None] * away[None, :, None]  # [heads, levels * points, 2]
    with torch.no_grad():
        attention.sampling_offsets.bias.copy_(bias.flatten())
    for name in ("value_proj", "output_proj"):
        if hasattr(attention, name):
            projection = getattr(attention, name)
            nn.init.xavier_uniform_(projection.weight)
            nn.init.zeros_(projection.bias)
