"""Which of a detector's boxes are what it finds. `zoo.export.runtime.choosing` does the same without torch."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor

from zoo.models.detection.overlap import surviving


class Scored(NamedTuple):
    """The boxes that a detector predicts in B images, Q in each, before any is chosen."""

    scores: Tensor
    """``[B, Q, C]``: the probability of each class, 0 to 1. Those that are not numbers are never found."""
    boxes: Tensor
    """``[B, Q, 4]``"""
    real: Tensor
    """``[B, Q]``, bool: those that are of the image; others are never found."""


@dataclass(frozen=True)
class Choice:
    """How found boxes are chosen: data, so that an export can say it."""

    several: bool
    """Whether a box may be found as each of several classes, or as its likeliest one alone."""
    candidates: int | None = None
    """Surest pairs of a box and a class that are looked at; None: as many as the image has boxes."""
    nms_iou: float | None = None
    """A box that overlaps a surer one of its class by more (intersection over union) is taken away; None: none is."""


class Chosen(NamedTuple):
    """What is chosen in one image, k in number, surest first; of equal ones the first box and class first."""

    scores: Tensor
    """``[k]``"""
    labels: Tensor
    """``[k]``, int64"""
    places: Tensor
    """``[k]``, int64: which of the boxes."""


def chosen(scored: Scored, corners: Tensor, choice: Choice) -> Sequence[Chosen]:
    """What `choice` leaves in each image; corners ``[B, Q, 4]`` are those of the boxes."""
    return [
        _chosen(scores, edges, real, choice)
        for scores, edges, real in zip(scored.scores, corners, scored.real, strict=True)
    ]


def _chosen(scores: Tensor, corners: Tensor, real: Tensor, choice: Choice) -> Chosen:
    """Of one image: scores ``[Q, C]``, corners ``[Q, 4]``, real ``[Q]``."""
    held = real.nonzero()[:, 0]  # [q]
    of_image = scores[held]  # [q, C]
    if choice.several:
        classes = of_image.shape[1]
        surest = _surest(of_image.flatten(), choice.candidates or len(held))  # [k]
        values, labels, rows = of_image.flatten()[surest], surest % classes, surest // classes
    else:
        likeliest, of_class = of_image.max(1)  # [q] each
        rows = _surest(likeliest, choice.candidates or len(held))  # [k]
        values, labels = likeliest[rows], of_class[rows]
    places = held[rows]
    if choice.nms_iou is not None:
        kept = surviving(corners[places], labels, choice.nms_iou)
        values, labels, places = values[kept], labels[kept], places[kept]
    return Chosen(values, labels, places)


def _surest(scores: Tensor, count: int) -> Tensor:
    """Places of the `count` largest of scores ``[n]``, largest first, of equal ones the first first.

    `topk` alone says nothing of the order of equal ones, nor which of them it leaves out.
    """
    count = min(count, len(scores))
    if not count:
        return torch.empty(0, dtype=torch.int64, device=scores.device)
    numbers = scores.nan_to_num(nan=-1.0)
    least = numbers.topk(count).values[-1].clamp(min=0)
    near = (numbers >= least).nonzero()[:, 0]
    return near[numbers[near].sort(descending=True, stable=True).indices[:count]]
