"""A convolutional detector without anchors: a class and four distances from each place of a feature pyramid.

Written after the papers alone: FCOS (arXiv:1904.01355), generalised focal loss (arXiv:2006.04388), TOOD
(arXiv:2108.07755).
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from zoo.models.detection import Candidates, Choice, Detector, Labels, Matched, Matcher, Scored
from zoo.models.detection.contracts import box_loss_of, corners, in_shape, real_sizes
from zoo_detection.backbone import Backbone, ConvBlock, Pyramid
from zoo_detection.options import AnchorFreeOptions

_PRIOR = 0.01
"""How sure every place is of every class to begin with (arXiv:1708.02002, section 4.1)."""
_LARGEST = 10.0
"""Distances without bound are an exponential, of no more than this."""
_MARGIN = 0.01
"""A distance that is learned as a distribution stays below its end by as many strides."""


class AnchorFree(Detector):
    """A class and four distances (left, top, right, bottom) from each place that the image holds.

    Losses: ``class``, a quality focal loss whose target is the matcher's weight, over the sum of the weights;
    ``box``, the chosen box loss, and ``distribution`` (where there is `reg_max`), the cross-entropy of the two bins
    around a distance, both weighted means over matched places. A true box's distances beyond ``reg_max`` strides are
    learned as if they ended there.
    """

    options: AnchorFreeOptions
    padding_invariant = True

    def __init__(self, options: AnchorFreeOptions, classes: int) -> None:
        super().__init__(options, classes)
        self.backbone = Backbone(options.width, options.depth, max(options.levels))
        self.pyramid = Pyramid(self.backbone.channels, options.levels, options.neck)
        self.bins = options.reg_max + 1 if options.reg_max else 1
        self.classifier = Head(options.neck, options.head_blocks, classes, bias=-math.log((1 - _PRIOR) / _PRIOR))
        self.regressor = Head(options.neck, options.head_blocks, 4 * self.bins)
        self.scales = nn.Parameter(torch.ones(len(options.levels)))
        self.matcher: Matcher = options.matcher.create()
        self.box_loss = box_loss_of(options.box_loss)
        self.choice = Choice(several=True, candidates=options.candidates, nms_iou=options.nms_iou)
        self.stride = max(options.levels)

    @property
    def weights(self) -> Mapping[str, float]:
        options = self.options
        told = {"class": options.class_weight, "box": options.box_weight}
        return told | ({"distribution": options.distribution_weight} if options.reg_max else {})

    def forward(self, pixel_values: Tensor, pixel_mask: Tensor) -> Mapping[str, Any]:
        """Of Q places in all: ``logits`` ``[B, Q, C]``, ``sides`` ``[B, Q, 4, bins]``, ``boxes`` ``[B, Q, 4]``;
        ``places`` ``[Q, 2]`` and ``strides`` ``[Q]`` in pixels; ``real`` ``[B, Q]``; ``sizes`` ``[B, 2]``."""
        maps = self.pyramid(self.backbone(pixel_values, pixel_mask))
        logits, sides, real, places, strides = [], [], [], [], []
        for (features, held), scale, stride in zip(maps, self.scales, self.options.levels, strict=True):
            rows, columns = features.shape[-2:]
            logits.append(self.classifier(features, held).flatten(2).mT)  # [B, q, C]
            sides.append(self.regressor(features, held).flatten(2).mT.float() * scale)  # [B, q, 4 * bins]
            real.append(held.flatten(1).bool())  # [B, q]
            y, x = torch.meshgrid(
                *(torch.arange(length, device=features.device) + 0.5 for length in (rows, columns)), indexing="ij"
            )
            places.append(torch.stack((x, y), -1).reshape(-1, 2) * stride)  # [q, 2]
            strides.append(torch.full((rows * columns,), float(stride), device=features.device))
        raw = torch.cat(sides, 1).unflatten(-1, (4, self.bins))  # [B, Q, 4, bins]
        points, steps = torch.cat(places), torch.cat(strides)
        sizes = real_sizes(pixel_mask)  # [B, 2]
        distances = self._distances(raw) * steps[:, None]  # [B, Q, 4], pixels
        low, high = points - distances[..., :2], points + distances[..., 2:]  # [B, Q, 2]
        shares = sizes.flip(-1)[:, None]  # [B, 1, 2], width and height
        return {
            "logits": torch.cat(logits, 1).float(),
            "sides": raw,
            "boxes": torch.cat(((low + high) / 2 / shares, (high - low) / shares), -1),
            "places": points,
            "strides": steps,
            "real": torch.cat(real, 1),
            "sizes": sizes,
        }

    def _distances(self, sides: Tensor) -> Tensor:
        """``[..., 4, bins]`` -> ``[..., 4]``, in strides."""
        if self.bins == 1:
            return sides[..., 0].clamp(max=_LARGEST).exp()
        # A product and a sum: mixed precision would round a matrix product to eight bits, a pixel in a wide box.
        return (sides.softmax(-1) * torch.arange(self.bins, dtype=sides.dtype, device=sides.device)).sum(-1)

    def losses(self, predictions: Mapping[str, Any], labels: Sequence[Labels]) -> Mapping[str, Tensor]:
        logits, real = predictions["logits"], predictions["real"]
        quality = torch.zeros_like(logits)  # [B, Q, C]
        parts: list[_Part] = []
        for number, one in enumerate(labels):
            matched = self._matched(predictions, number, one)
            where = real[number].nonzero()[:, 0][matched.candidates]  # [M]
            quality[number, where, one["class_labels"][matched.targets]] = matched.weights.to(quality)
            parts.append(_Part(number, where, one["boxes"][matched.targets].float(), matched.weights, one["size"]))
        weights = torch.cat([part.weights for part in parts])  # [M]
        summed = weights.sum()
        focal = (quality - logits.sigmoid()).abs() ** self.options.focus
        entropy = F.binary_cross_entropy_with_logits(logits, quality, reduction="none")
        told = {"class": (focal * entropy * real[..., None]).sum() / summed.clamp(min=1.0)}
        share = weights / summed.clamp(min=torch.finfo(torch.float32).tiny)  # [M], 1 in all
        found = [in_shape(predictions["boxes"][part.image, part.places], part.size) for part in parts]
        wanted = [in_shape(part.boxes, part.size) for part in parts]
        told["box"] = (self.box_loss(torch.cat(found), torch.cat(wanted)) * share).sum()
        if self.options.reg_max:
            told["distribution"] = (self._distribution_losses(predictions, parts) * share).sum()
        return told

    def _matched(self, predictions: Mapping[str, Any], number: int, labels: Labels) -> Matched:
        real = predictions["real"][number]  # [Q]
        size = predictions["sizes"][number].flip(-1)  # [2], width and height
        candidates = Candidates(
            scores=predictions["logits"][number, real].detach().sigmoid(),
            boxes=predictions["boxes"][number, real].detach(),
            places=predictions["places"][real] / size,
            reach=self.options.side_floor * predictions["strides"][real][:, None] / size,
        )
        matched: Matched = self.matcher(candidates, labels)
        return matched

    def _distribution_losses(self, predictions: Mapping[str, Any], parts: Sequence[_Part]) -> Tensor:
        """``[M]``: the mean over a box's sides of `distribution_loss`."""
        rows = []
        for part in parts:
            size = part.size.flip(-1).to(part.boxes)  # [2]
            edges = corners(part.boxes) * torch.cat((size, size))  # [m, 4], pixels
            places, strides = predictions["places"][part.places], predictions["strides"][part.places][:, None]
            distances = torch.cat((places - edges[:, :2], edges[:, 2:] - places), -1) / strides  # [m, 4]
            rows.append(distribution_loss(predictions["sides"][part.image, part.places], distances).mean(-1))
        return torch.cat(rows)

    def scored(self, predictions: Mapping[str, Any]) -> Scored:
        """Every place with every class."""
        return Scored(predictions["logits"].sigmoid(), predictions["boxes"], predictions["real"])


class _Part(NamedTuple):
    """The matched places of one image, m in number."""

    image: int
    places: Tensor  # [m]
    boxes: Tensor  # [m, 4], the true ones
    weights: Tensor  # [m]
    size: Tensor  # [2]


class Head(nn.Module):
    """Convolutions, the same for each level, and what they are asked for."""

    def __init__(self, width: int, blocks: int, out: int, *, bias: float = 0.0) -> None:
        super().__init__()
        self.tower = nn.ModuleList(ConvBlock(width, width) for _ in range(blocks))
        self.output = nn.Conv2d(width, out, 3, 1, 1)
        nn.init.normal_(self.output.weight, std=0.01)
        assert self.output.bias is not None
        nn.init.constant_(self.output.bias, bias)

    def forward(self, x: Tensor, real: Tensor) -> Tensor:
        """``[B, width, h, w]`` -> ``[B, out, h, w]``"""
        for block in self.tower:
            x = block(x, real)
        out: Tensor = self.output(x)
        return out


def distribution_loss(sides: Tensor, distances: Tensor) -> Tensor:
    """Distribution focal loss (Li et al. 2020, equation 6): sides ``[..., bins]``, distances ``[...]`` in strides ->
    ``[...]``.

    The cross-entropy of the bins below and above a distance, each by its nearness. Distances outside of the bins count
    as the nearest that is inside.
    """
    last = sides.shape[-1] - 1
    wanted = distances.clamp(0, last - _MARGIN)
    below = wanted.floor()
    share = wanted - below  # of the bin above
    logs = sides.float().log_softmax(-1)
    index = below.long()[..., None]
    lower, upper = logs.gather(-1, index)[..., 0], logs.gather(-1, index + 1)[..., 0]
    return -((1 - share) * lower + share * upper)
