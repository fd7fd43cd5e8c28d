"""What is asked of detectors and of matchers.

Boxes are ``cx, cy, w, h`` as shares of the image's own height and width, padding not counted, as transformers' DETR has
them. Classes are numbered from 0.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from zoo.errors import InputError
from zoo.models.boxes.contracts import BoxLoss
from zoo.models.detection.choosing import Choice, Scored, chosen
from zoo.spec.options import Chosen, Options

Labels = Mapping[str, Tensor]
"""What is to be found in one image: ``class_labels`` ``[n]`` int64, ``boxes`` ``[n, 4]`` float, and ``size`` ``[2]``:
height and width in pixels, as the detector sees the image."""


@dataclass(frozen=True)
class Found:
    """What is found in one image, surest first."""

    scores: Tensor
    """``[k]``, 0 to 1."""
    labels: Tensor
    """``[k]``, int64: classes."""
    boxes: Tensor
    """``[k, 4]``."""


@dataclass(frozen=True)
class Candidates:
    """The boxes that a detector predicts for one image, Q in number, before any is chosen. Without gradients."""

    scores: Tensor
    """``[Q, C]``: the probability of each class, 0 to 1."""
    boxes: Tensor
    """``[Q, 4]``"""
    places: Tensor | None = None
    """``[Q, 2]``: the points, x and y, that boxes are predicted from; None where they come from anywhere."""
    reach: Tensor | None = None
    """``[Q, 2]``: a true box that is narrower or lower is taken to be so wide and high where a matcher asks whether it
    holds the place. 0 where absent."""


@dataclass(frozen=True)
class Matched:
    """Pairs of a candidate and a true box, M in number. A candidate is in one pair at most."""

    candidates: Tensor
    """``[M]``, int64."""
    targets: Tensor
    """``[M]``, int64."""
    weights: Tensor
    """``[M]``, float32, in (0, 1]: how sure of the class the candidate should be, and how much its box counts."""


class Matcher(nn.Module):
    """Built as ``target(options)``: for each image, which candidates answer for which true boxes."""

    one_to_one: bool = True
    """Whether a true box has one candidate at most. A detector that has none taken away afterwards asks for this."""

    def __init__(self, options: Options) -> None:
        super().__init__()
        self.options = options

    def forward(self, candidates: Candidates, labels: Labels) -> Matched:
        """The pairs of one image, on the device of the candidates; none where there is nothing to be found.

        A pure function of its arguments, without gradients. A matcher of one to one pairs as many as there are of the
        fewer; candidates whose numbers are not finite come last.
        """
        raise NotImplementedError


class Detector(nn.Module):
    """Built as ``target(options, classes)``; classes is at least 1.

    `forward` gives predictions of any form that the detector itself understands: a mapping of tensors, the batch first.
    """

    most: int | None = None
    """How many boxes of an image can be learnt and found at the most; None where nothing bounds them."""
    choice: Choice | None = None
    """How what is found is chosen from what `scored` gives. None: `found` is the detector's own, and no other program
    can say what it does: it cannot be exported."""
    stride: int = 1
    """Pixels of a place of the coarsest map: frames of whole multiples of it need no padding within the detector."""
    padding_invariant: ClassVar[bool] = False
    """Whether padding at the bottom and on the right changes nothing of what is found (up to rounding)."""
    needs_labels: ClassVar[bool] = False
    """Whether `forward` is given the labels too, as ``labels``, where there are any: for queries made of true boxes."""

    def __init__(self, options: Options, classes: int) -> None:
        super().__init__()
        self.options = options
        self.classes = classes

    @property
    def weights(self) -> Mapping[str, float]:
        """What each of `losses` is multiplied by before they are added up; those not named here are only told."""
        raise NotImplementedError

    def forward(self, pixel_values: Tensor, pixel_mask: Tensor) -> Mapping[str, Any]:
        """pixel_values ``[B, 3, H, W]``, normalised, 0 in the padding; pixel_mask ``[B, H, W]``, True = the image."""
        raise NotImplementedError

    def losses(self, predictions: Mapping[str, Any], labels: Sequence[Labels]) -> Mapping[str, Tensor]:
        """Of predictions for B images: scalars ``[]`` by name, each a mean as its paper has it, always the same names.

        Finite, with finite gradients, whatever there is to be found; also where there is nothing.
        """
        raise NotImplementedError

    def scored(self, predictions: Mapping[str, Any]) -> Scored:
        """All boxes of B images with their scores, of which `choice` says what is found. A function of tensors alone:
        it is a part of what is exported."""
        raise NotImplementedError

    def found(self, predictions: Mapping[str, Any]) -> list[Found]:
        """What is found in each of B images. Boxes may reach beyond the image: the host cuts them."""
        if self.choice is None:
            raise NotImplementedError
        scored = self.scored(predictions)
        picked = chosen(scored, corners(scored.boxes), self.choice)
        return [
            Found(one.scores, one.labels, boxes[one.places]) for one, boxes in zip(picked, scored.boxes, strict=True)
        ]


def box_loss_of(chosen: Chosen) -> BoxLoss:
    """The chosen box loss, for boxes `in_shape`. Raises InputError where it is one of other boxes than a detector's
    (rotated ones), or has a length that is longer than an image."""
    loss: BoxLoss = chosen.create()
    if loss.coordinates != 4:
        raise InputError(
            f"the box loss '{chosen.name}' is one of boxes with {loss.coordinates} coordinates, a detector's have 4"
        )
    length = loss.length
    if length is not None and length > 1:
        raise InputError(
            f"the box loss '{chosen.name}' has a length of {length:g} among its options, longer than any image: "
            f"a detector's boxes are in units of its longer side ({length:g} of 800 pixels are {length / 800:.2g})"
        )
    return loss


def real_sizes(pixel_mask: Tensor) -> Tensor:
    """``[B, 2]``, float: height and width of each image of a mask ``[B, H, W]``."""
    return torch.stack((pixel_mask.any(2).sum(1), pixel_mask.any(1).sum(1)), dim=1).float()  # [B, 2]


def corners(boxes: Tensor) -> Tensor:
    """``cx, cy, w, h`` -> ``x1, y1, x2, y2``, both ``[..., 4]``."""
    centre, half = boxes[..., :2], boxes[..., 2:] / 2
    return torch.cat((centre - half, centre + half), dim=-1)


def in_shape(boxes: Tensor, size: Tensor) -> Tensor:
    """``cx, cy, w, h`` as shares of an image of `size` ``[2]`` (height, width) -> corners in units of its longer side.
    Boxes ``[m, 4]`` may have a size each, ``[m, 2]``.

    Box losses see boxes so: their aspect is the true one, and an image's scale changes nothing.
    """
    wide = (size.flip(-1) / size.amax(-1, keepdim=True)).to(boxes)  # [2] or [m, 2], x and y
    return corners(boxes * torch.cat((wide, wide), dim=-1))
