"""Several candidates for each true box (Feng et al. 2021, TOOD, section 3.2)."""

from __future__ import annotations

import torch

from zoo.models.detection import Candidates, Labels, Matched, Matcher
from zoo.models.detection.contracts import corners
from zoo_detection.options import TaskAlignedOptions
from zoo_detection.overlap import pairwise_iou

_LEAST = 1e-4
"""The weight of a candidate that does not yet overlap its box: with none it would never come to."""


class TaskAligned(Matcher):
    """The `topk` candidates of each box whose alignment ``score^alpha * overlap^beta`` is highest, of those whose place
    the box holds; a place that two boxes choose goes to the one that it overlaps more.

    A candidate's weight is its alignment, scaled so that the best one of a box has the largest overlap of the box's
    candidates (section 3.2.2 of the paper). Candidates without places are all taken to be inside. Of equal alignment,
    as in a model that knows nothing, the place that is nearer to the box's centre is taken.
    """

    options: TaskAlignedOptions
    one_to_one = False

    @torch.no_grad()
    def forward(self, candidates: Candidates, labels: Labels) -> Matched:
        options, classes = self.options, labels["class_labels"]
        wanted = labels["boxes"].float()  # [n, 4]
        boxes = candidates.boxes.float()  # [Q, 4]
        if not len(wanted) or not len(boxes):
            return _pairs(torch.zeros(len(boxes), len(wanted), dtype=torch.bool, device=boxes.device), wanted)
        overlap = torch.nan_to_num(pairwise_iou(corners(boxes), corners(wanted)))  # [Q, n]
        scores = torch.nan_to_num(candidates.scores.float()[:, classes]).clamp(0, 1)  # [Q, n]
        alignment = scores**options.alpha * overlap**options.beta  # [Q, n]
        places = boxes[:, :2] if candidates.places is None else candidates.places.float()  # [Q, 2]
        away = (places[:, None] - wanted[None, :, :2]).abs()  # [Q, n, 2]
        if candidates.places is None:
            inside = torch.ones_like(alignment, dtype=torch.bool)
        else:
            sides = wanted[None, :, 2:].expand_as(away)  # [Q, n, 2]
            if candidates.reach is not None:
                sides = torch.maximum(sides, candidates.reach.float()[:, None])
            inside = (away < sides / 2).all(-1)  # [Q, n]
        nearness = torch.nan_to_num(1e-12 / (1 + away.sum(-1)))  # [Q, n]: decides between equals alone
        key = torch.where(inside, alignment + nearness, -1.0)
        chosen = torch.zeros_like(inside)
        chosen.scatter_(0, key.topk(min(options.topk, len(boxes)), dim=0).indices, True)
        chosen &= inside
        # A place in several boxes goes to one of them.
        best = torch.where(chosen, overlap, -1.0).argmax(1)  # [Q]
        chosen &= torch.nn.functional.one_hot(best, len(wanted)).bool()  # [Q, n]
        kept = torch.where(chosen, alignment, 0.0)
        most, highest = kept.amax(0), torch.where(chosen, overlap, 0.0).amax(0)  # [n] each
        weights = kept * (highest / most.clamp(min=torch.finfo(torch.float32).tiny))  # [Q, n]
        return _pairs(chosen, weights.clamp(_LEAST, 1.0))


def _pairs(chosen: torch.Tensor, weights: torch.Tensor) -> Matched:
    rows, columns = chosen.nonzero(as_tuple=True)
    return Matched(rows, columns, weights[rows, columns] if len(rows) else weights.new_zeros(0))
