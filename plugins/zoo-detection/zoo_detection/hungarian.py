"""The cheapest pairing of candidates and true boxes (Carion et al. 2020, section 3.1)."""

from __future__ import annotations

import torch
from scipy.optimize import linear_sum_assignment
from torch import Tensor

from zoo.models.boxes import BoxLoss
from zoo.models.detection import Candidates, Labels, Matched, Matcher
from zoo.models.detection.contracts import box_loss_of, in_shape
from zoo_detection.options import HungarianOptions

_ALPHA, _GAMMA = 0.25, 2.0


class Hungarian(Matcher):
    """``class_cost * class + l1_cost * |cx, cy, w, h| + box_cost * box loss``, added up over pairs, is least.

    A class costs minus its probability, or, ``focal``, what a focal loss would lose by it less what it would lose
    without it (alpha .25, gamma 2: arXiv:2010.04159). scipy's `linear_sum_assignment` finds the pairing.
    """

    options: HungarianOptions

    def __init__(self, options: HungarianOptions) -> None:
        super().__init__(options)
        self.box_loss: BoxLoss | None = None
        if options.box_cost and options.box_loss is not None:
            self.box_loss = box_loss_of(options.box_loss)

    @torch.no_grad()
    def costs(self, candidates: Candidates, labels: Labels) -> Tensor:
        """What each pair costs, ``[Q, n]``, float32."""
        options = self.options
        scores, boxes = candidates.scores.float(), candidates.boxes.float()
        wanted = labels["boxes"].float()  # [n, 4]
        probability = scores[:, labels["class_labels"]]  # [Q, n]
        cost = options.class_cost * (-probability if options.class_form == "probability" else _focal(probability))
        if options.l1_cost:
            cost = cost + options.l1_cost * (boxes[:, None] - wanted[None]).abs().sum(-1)  # [Q, n]
        if self.box_loss is not None:
            size = labels["size"]
            pairs = self.box_loss(in_shape(boxes, size)[:, None], in_shape(wanted, size)[None])  # [Q, n]
            cost = cost + options.box_cost * pairs
        return cost.float()

    @torch.no_grad()
    def forward(self, candidates: Candidates, labels: Labels) -> Matched:
        device = candidates.boxes.device
        cost = self.costs(candidates, labels).double().cpu()
        worst = torch.finfo(torch.float32).max
        # What is not finite comes last, and stays small enough to be added up.
        cost = torch.nan_to_num(cost, nan=worst, posinf=worst, neginf=worst).clamp(-worst, worst)
        rows, columns = (torch.as_tensor(item, dtype=torch.int64) for item in linear_sum_assignment(cost.numpy()))
        return Matched(rows.to(device), columns.to(device), torch.ones(len(rows), device=device))


def _focal(probability: Tensor) -> Tensor:
    p = probability.clamp(1e-8, 1 - 1e-8)
    hit = _ALPHA * (1 - p) ** _GAMMA * -p.log()
    miss = (1 - _ALPHA) * p**_GAMMA * -torch.log1p(-p)
    return hit - miss
