"""Several candidates for each true box (Feng et al. 2021, TOOD, section 3.2)."""

from __future__ import annotations

import torch
from torch import Tensor

from zoo.models.detection import Candidates, Labels, Matched, Matcher
from zoo.models.detection.contracts import corners
from zoo.models.detection.overlap import paired_iou
from zoo_detection.options import TaskAlignedOptions

_LEAST = 1e-4
"""The weight of a candidate that does not yet overlap its box: with none it would never come to."""
_ROUNDING = 1.001
"""Half a reach in shares of a large image is a few thousand roundings."""


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
        options, wanted = self.options, labels["boxes"].float()  # [n, 4]
        boxes = candidates.boxes.float()  # [Q, 4]
        # The pairs that come into question, P in number: few of Q * n, as boxes are small.
        rows, columns = _inside(candidates, wanted).nonzero(as_tuple=True)  # [P] each
        overlap = torch.nan_to_num(paired_iou(corners(boxes[rows]), corners(wanted[columns])))  # [P]
        scores = torch.nan_to_num(candidates.scores[rows, labels["class_labels"][columns]].float()).clamp(0, 1)
        alignment = scores**options.alpha * overlap**options.beta  # [P]
        places = boxes[:, :2] if candidates.places is None else candidates.places.float()  # [Q, 2]
        away = (places[rows] - wanted[columns, :2]).abs().sum(-1)  # [P]
        nearness = torch.nan_to_num(1e-12 / (1 + away))  # [P]: decides between equals alone
        order = _sorted_by(-(alignment + nearness), columns)
        counts = columns.bincount(minlength=len(wanted))  # [n]
        rank = torch.arange(len(order), device=order.device) - (counts.cumsum(0) - counts)[columns[order]]  # [P]
        order = order[rank < options.topk]
        # A place in several boxes goes to one of them.
        order = order[_sorted_by(-overlap[order], rows[order])]
        order = order[torch.diff(rows[order], prepend=rows.new_full((1,), -1)) > 0]  # [M]
        rows, columns, overlap, alignment = rows[order], columns[order], overlap[order], alignment[order]
        nothing = wanted.new_zeros(len(wanted))
        most = nothing.scatter_reduce(0, columns, alignment, "amax")  # [n]
        highest = nothing.scatter_reduce(0, columns, overlap, "amax")  # [n]
        scaled = alignment * (highest / most.clamp(min=torch.finfo(torch.float32).tiny))[columns]  # [M]
        return Matched(rows, columns, scaled.clamp(_LEAST, 1.0))


def _inside(candidates: Candidates, wanted: Tensor) -> Tensor:
    """``[Q, n]``: whether a true box, or what it is taken for where it is small, holds a candidate's place."""
    places = candidates.places
    inside = torch.ones(len(candidates.boxes), len(wanted), dtype=torch.bool, device=wanted.device)
    if places is None:
        return inside
    for axis in (0, 1):
        away = (places[:, axis, None].float() - wanted[:, axis]).abs()  # [Q, n]
        holds = away < wanted[:, 2 + axis] / 2
        if candidates.reach is not None:
            reach = candidates.reach[:, axis, None].float() / 2  # [Q, 1]
            # Its edges belong to it: a box half way between two places has both.
            holds |= away <= torch.where(reach > 0, reach * _ROUNDING, -1.0)
        inside &= holds
    return inside


def _sorted_by(values: Tensor, groups: Tensor) -> Tensor:
    """The order ``[P]`` in which groups rise and, in each, values; equal ones keep theirs."""
    order = values.argsort(stable=True)
    return order[groups[order].argsort(stable=True)]
