"""A detector of the zoo as one function of tensors: images to all its boxes with their scores.

Which of them are found is no part of the graph: `zoo.export.runtime.choosing` does that.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from zoo.errors import InputError
from zoo.export.folder import BOXES, REAL, SCORES, WHOLE
from zoo.images.framing import FRAMES
from zoo_export.graphs import BATCH, Graph, GraphModule

_MOST = 1 << 16
_ROWS, _COLUMNS = 4, 5
"""Places of the coarsest map of the images that are traced: other numbers than that of images."""


def refuse(model: Any) -> None:
    """Every detector is exported that says how its boxes are chosen."""
    if model.detector.choice is None:
        chosen = model.section.detector.id
        raise InputError(
            f"model.detector: '{chosen}' does not say how what it finds is chosen from its boxes (`Detector.choice`): it "
            "cannot be exported"
        )


class DetectorGraph(GraphModule):
    """Images ``[B, 3, H, W]`` and which pixels are theirs ``[B, H, W]`` -> the scores ``[B, Q, C]`` of boxes
    ``[B, Q, 4]``, and which of these are of the image ``[B, Q]``."""

    def forward(self, pixel_values: Tensor, pixel_mask: Tensor) -> tuple[Tensor, ...]:
        detector = self.model.detector
        scores, boxes, real = detector.scored(detector(pixel_values, pixel_mask))
        return scores.float(), boxes.float(), real


def graphs(model: Any) -> list[Graph]:
    """Of a model in evaluation mode, without gradients."""
    step = model.frame_multiple
    size = _ROWS * step, _COLUMNS * step
    images = torch.linspace(-1, 1, BATCH * 3 * size[0] * size[1]).view(BATCH, 3, *size)
    mask = torch.ones(BATCH, *size, dtype=torch.bool)
    # Sides are multiples by what they are made of: then every map's size is one too, and none is a case by itself.
    batch = torch.export.Dim("batch", min=1, max=_MOST)
    rows, columns = (torch.export.Dim(name, min=1, max=_MOST) for name in ("rows", "columns"))
    height, width = (dim if step == 1 else step * dim for dim in (rows, columns))
    free = ({0: batch, 2: height, 3: width}, {0: batch, 1: height, 2: width})
    inputs = dict(zip(FRAMES, (images, mask), strict=True))
    return [Graph(WHOLE, DetectorGraph(model), inputs, [SCORES, BOXES, REAL], free)]
