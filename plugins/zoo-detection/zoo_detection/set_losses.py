"""The losses of detectors whose every layer answers with a set of queries (RT-DETR, D-FINE)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from zoo.models.boxes import BoxLoss
from zoo.models.detection import Candidates, Labels, Matcher
from zoo.models.detection.contracts import corners, in_shape
from zoo.models.detection.overlap import paired_iou


@dataclass(frozen=True)
class Answers:
    """What one layer answers: Q queries for each of B images."""

    logits: Tensor
    """``[B, Q, C]``"""
    boxes: Tensor
    """``[B, Q, 4]``"""
    sides: Tensor | None = None
    """``[B, Q, 4, N + 1]``: logits of how far each side is to be moved; D-FINE's."""
    start: Tensor | None = None
    """``[B, Q, 4]``: the boxes whose sides are moved."""


@dataclass(frozen=True)
class Pairs:
    """M queries and the true box that each answers for."""

    images: Tensor
    queries: Tensor
    """``[M]`` each: of which image, which query."""
    classes: Tensor
    """``[M]``"""
    boxes: Tensor
    """``[M, 4]``"""
    sizes: Tensor
    """``[M, 2]``: height and width of their images."""

    @property
    def at(self) -> tuple[Tensor, Tensor]:
        return self.images, self.queries


def paired(queries: Sequence[Tensor], targets: Sequence[Tensor], labels: Sequence[Labels]) -> Pairs:
    """Pairs of each image's queries with its true boxes."""
    images = [torch.full_like(item, number) for number, item in enumerate(queries)]
    return Pairs(
        torch.cat(images),
        torch.cat(list(queries)),
        torch.cat([one["class_labels"][item] for one, item in zip(labels, targets, strict=True)]),
        torch.cat([one["boxes"][item].float() for one, item in zip(labels, targets, strict=True)]),
        torch.cat([one["size"].expand(len(item), 2) for one, item in zip(labels, targets, strict=True)]),
    )


def matched(matcher: Matcher, answers: Answers, alive: Tensor, labels: Sequence[Labels]) -> Pairs:
    """The matcher's pairs; queries that `alive` ``[B, Q]`` does not name answer for nothing."""
    queries, targets = [], []
    for number, one in enumerate(labels):
        living = alive[number].nonzero()[:, 0]  # [q]
        scores, boxes = answers.logits[number, living].detach().sigmoid(), answers.boxes[number, living].detach()
        found = matcher(Candidates(scores, boxes), one)
        queries.append(living[found.candidates])
        targets.append(found.targets)
    return paired(queries, targets, labels)


@dataclass(frozen=True)
class Answered:
    """Layers of answers to one question, with the pairs of each."""

    layers: Sequence[Answers]
    pairs: Sequence[Pairs]
    alive: Tensor
    """``[B, Q]``: queries that are of an image."""
    count: int
    """What sums are divided by: true boxes, and as often as each is asked for."""

    def overlaps(self) -> list[Tensor]:
        """Of each layer, the overlap of every pair, without gradients."""
        return [
            paired_iou(corners(layer.boxes[pairs.at].detach()), corners(pairs.boxes))
            for layer, pairs in zip(self.layers, self.pairs, strict=True)
        ]


def class_and_distance(answered: Answered, alpha: float, gamma: float) -> dict[str, Tensor]:
    """``class``, the varifocal loss, and ``l1``, over all layers."""
    losses, distances = [], []
    for layer, pairs, overlap in zip(answered.layers, answered.pairs, answered.overlaps(), strict=True):
        losses.append(varifocal(layer.logits, overlap, pairs, answered.alive, alpha, gamma))
        distances.append((layer.boxes[pairs.at] - pairs.boxes).abs().sum())
    return {"class": torch.stack(losses).sum() / answered.count, "l1": torch.stack(distances).sum() / answered.count}


def varifocal(logits: Tensor, overlap: Tensor, pairs: Pairs, alive: Tensor, alpha: float, gamma: float) -> Tensor:
    """Varifocal loss (arXiv:2008.13367, section 3.2) of logits ``[B, Q, C]``, added up.

    A pair's class is to be as sure as its box overlaps, and weighs so much; the others weigh alpha p^gamma.
    """
    target, hit = torch.zeros_like(logits), torch.zeros_like(logits, dtype=torch.bool)
    target[pairs.images, pairs.queries, pairs.classes] = overlap.to(target)
    hit[pairs.images, pairs.queries, pairs.classes] = True
    weight = torch.where(hit, target, alpha * logits.detach().sigmoid() ** gamma) * alive[..., None]
    return F.binary_cross_entropy_with_logits(logits, target, weight, reduction="sum")


def box_losses(box_loss: BoxLoss, asked: Sequence[Answered]) -> list[Tensor]:
    """The box loss of each, over all its layers. It is asked once: some keep a mean of what they have seen."""
    found, wanted, counts = [], [], []
    for answered in asked:
        for layer, pairs in zip(answered.layers, answered.pairs, strict=True):
            found.append(in_shape(layer.boxes[pairs.at], pairs.sizes))
            wanted.append(in_shape(pairs.boxes, pairs.sizes))
        counts.append(sum(len(pairs.boxes) for pairs in answered.pairs))
    each = box_loss(torch.cat(found), torch.cat(wanted)).split(counts)
    return [item.sum() / answered.count for item, answered in zip(each, asked, strict=True)]


def weighed(losses: Mapping[str, Tensor], weights: Mapping[str, float]) -> Tensor:
    """The sum of losses by their weights."""
    return torch.stack([value * weights[name] for name, value in losses.items()]).sum()
