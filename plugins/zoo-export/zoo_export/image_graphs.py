"""A recogniser of the zoo as functions of tensors: an encoder of images and the steps of its decoder, or one graph for
CTC.

Images go in as `zoo.images.patches.PatchMaker` makes them, one image a row: packed rows are training's own.
"""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor

from zoo.export.folder import ENCODER, FRAMES, MASK, WHOLE
from zoo.images.patches import PATCHES
from zoo_export.graphs import BATCH, ROWS, Graph, GraphModule
from zoo_export.text_graphs import Carried, decoder_graphs, masks_of_fusion

PATCH_COUNT = 6
"""Patches of the images that are traced: another number than that of images."""


def refuse(model: Any) -> None:
    """Every recogniser of the zoo is exported."""


class ImageEncoderGraph(GraphModule):
    """Patches of B images -> what the decoder reads, ``[B, S, D]``, or ``[B, L, S, D]`` of every layer; and which of it
    may be attended to, ``[B, S]`` integers. S is N patches, and the registers where the decoder sees them."""

    def forward(
        self, pixel_values: Tensor, patch_mask: Tensor, patch_positions: Tensor, patch_grid: Tensor
    ) -> tuple[Tensor, Tensor]:
        encoded = self.model.encoder(pixel_values, patch_mask, patch_positions, patch_grid)
        states: Tensor = self.model.states_for_fusion(encoded)  # [B, L or 1, S, D]
        mask = encoded.memory_mask  # [B, S], or None where all is seen
        mask = torch.ones_like(states[:, 0, :, 0], dtype=torch.long) if mask is None else mask.long()
        return states if self.model.encoder.keep_layers else states[:, 0], mask


class FramesGraph(GraphModule):
    """Patches of B images -> logits ``[B, F, V]`` of frames, and how many each image has ``[B]``."""

    def forward(
        self, pixel_values: Tensor, patch_mask: Tensor, patch_positions: Tensor, patch_grid: Tensor
    ) -> tuple[Tensor, Tensor]:
        output = self.model(pixel_values, patch_mask, patch_positions, patch_grid, return_dict=True)
        return output.logits, output.frames


def graphs(model: Any) -> list[Graph]:
    """Of a model in evaluation mode, without gradients."""
    images, free = _images(model), tuple(ROWS for _ in PATCHES)
    if model.section.decoder is None:
        return [Graph(WHOLE, FramesGraph(model), images, ["logits", FRAMES], free)]
    encoder = ImageEncoderGraph(model)
    # Strides of what is traced would stand in the graph: those of patches behind registers that are left out.
    states, mask = (tensor.contiguous() for tensor in encoder(*images.values()))
    layered = states if model.encoder.keep_layers else states[:, None]  # [B, L or 1, S, D]
    carried = Carried(
        embeddings=False,
        masks=masks_of_fusion(model, layered, mask.bool()),
        reads_context=False,
        attends_context=False,
    )
    return [
        Graph(ENCODER, encoder, images, ["last_hidden_state", MASK], free),
        *decoder_graphs(model, states, mask, carried, {}),
    ]


def _images(model: Any) -> dict[str, Tensor]:
    """Images to trace the model with, all alike: as many patches as its position scheme has places for."""
    limit = model.encoder.position.grid_limit
    count = PATCH_COUNT if limit is None else min(PATCH_COUNT, math.prod(limit))
    one = model.encoder.image_of_length(count)
    return {name: one[name].expand(BATCH, *one[name].shape[1:]).contiguous() for name in PATCHES}
