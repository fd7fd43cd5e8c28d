"""How an exported detector compares with its model: scores and boxes of all that it predicts, and what it finds."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.optimize import linear_sum_assignment
from torch import Tensor

from zoo.export.boxes import box_part
from zoo.export.contracts import Parity
from zoo.export.differences import Differences
from zoo.export.folder import BOXES, REAL, SCORES, WHOLE, BoxPart
from zoo.export.runtime.choosing import Found, corners, found
from zoo.export.runtime.sessions import open_graph, run
from zoo.images.framing import FRAMES
from zoo.models.modes import evaluating
from zoo.spec.detection_spec import DetectionSection
from zoo_export.convolutions import padded

Floats = NDArray[np.float32]

_NEAR = 1e-4
"""Scores and boxes that differ by no more are the same."""
_ROUGHLY = 1e-2
"""The same of an export in fewer bits."""
_CORNERS = ("x1", "y1", "x2", "y2")
_ROUNDING = 1e-6
"""How far pixels are moved, which are about 1, to see whether rounding alone changes what torch finds."""
_TRIES = 8
_MOST_MOVED = 1000
"""Of an export with more rows that are not torch's, none is looked for in another place."""


class _Image(NamedTuple):
    """What one of the two says of an image: all its own boxes, and those that are found."""

    rows: Floats
    """``[q, C + 4]``: scores, and corners within the image as shares of its sides."""
    found: Found
    """Boxes as such corners."""


def compared_boxes(
    model: Any, folder: Path, batches: Sequence[Mapping[str, Tensor]], *, rounded: bool = False
) -> Parity:
    """`Parity` over prepared images. Boxes may come in another order. Of an export that is `rounded` boxes are the same
    within a hundredth.

    A detector chooses: its queries among places, its boxes among those that overlap. Where two are as good as equal,
    rounding decides, and an image of which torch itself finds other boxes when its pixels are moved by as much is left
    out, unless the export is `rounded`, of which other boxes are expected.
    """
    part = box_part(model, DetectionSection())
    session = open_graph(folder / WHOLE, None, FRAMES, (SCORES, BOXES, REAL))
    counted = ImagesCompared(rounded=rounded)
    for batch in batches:
        images = {name: padded(batch[name], part.multiple) for name in FRAMES}
        theirs = seen_in_torch(model, images, part)
        given = run(session, {name: tensor.numpy() for name, tensor in images.items()})
        mine = [_image(*arrays, part) for arrays in zip(given[SCORES], given[BOXES], given[REAL], strict=True)]
        for number, (one, other) in enumerate(zip(theirs, mine, strict=True)):
            aligned = _aligned(one.rows, other.rows)
            if not rounded and not (counted.agree(one, other) and _are_near(one.rows, aligned)):
                alone = {name: tensor[number : number + 1] for name, tensor in images.items()}
                if _is_chance(model, alone, one, part):
                    continue
            counted.add(one, other, aligned)
    return counted.parity()


class ImagesCompared:
    """Gathers what a model and something made of it say of images.

    The mean difference counts each box by its best score in the model: most that a detector predicts are of nothing.
    """

    def __init__(self, *, rounded: bool) -> None:
        """Of what is `rounded` boxes are the same within a hundredth."""
        self._near = _ROUGHLY if rounded else _NEAR
        self._differences = Differences(probabilities=False)
        self._examples = self._same = 0
        self._summed = self._weight = 0.0

    def agree(self, one: _Image, other: _Image) -> bool:
        """Whether both find the same."""
        return _same(one.found, other.found, self._near)

    def add(self, one: _Image, other: _Image, aligned: Floats | None) -> None:
        """The model's image, the other one, and `_aligned` of both."""
        self._examples += 1
        self._same += aligned is not None and self.agree(one, other)
        rows = np.full_like(one.rows, np.nan) if aligned is None else aligned
        self._differences.add(one.rows, rows)
        sure = one.rows[:, : -len(_CORNERS)].max(axis=1, initial=0)  # [q]
        self._summed += float((sure * np.abs(rows - one.rows).mean(axis=1)).sum(dtype=np.float64))
        self._weight += float(sure.sum(dtype=np.float64))

    def parity(self) -> Parity:
        """All that was added."""
        return Parity(
            examples=self._examples,
            largest_difference=self._differences.largest,
            same_outputs=self._same,
            mean_difference=self._summed / self._weight if self._weight else None,
        )


def compared_in_torch(model: Any, held: Any, batches: Sequence[Mapping[str, Tensor]]) -> Parity:
    """`Parity` of `held`, the same detector in another precision, over prepared images."""
    part = box_part(model, DetectionSection())
    counted = ImagesCompared(rounded=held.dtype != model.dtype)
    for batch in batches:
        for one, other in zip(seen_in_torch(model, batch, part), seen_in_torch(held, batch, part), strict=True):
            counted.add(one, other, _aligned(one.rows, other.rows))
    return counted.parity()


def _are_near(expected: Floats, aligned: Floats | None) -> bool:
    return aligned is not None and bool(np.abs(aligned - expected).max(initial=0) <= _NEAR)


def seen_in_torch(model: Any, images: Mapping[str, Tensor], part: BoxPart) -> list[_Image]:
    """What `model`, in whatever precision, says of each of the prepared images."""
    with evaluating(model), torch.no_grad():
        predictions = model(**images).predictions
        scores, boxes, real = model.detector.scored(predictions)
    arrays = (scores.float().numpy(), boxes.float().numpy(), real.numpy())
    return [_image(*each, part) for each in zip(*arrays, strict=True)]


def _image(scores: Floats, boxes: Floats, real: NDArray[np.bool_], part: BoxPart) -> _Image:
    chosen = found(scores, boxes, real, part, part.min_score)
    rows = np.concatenate((scores, _cut(boxes)), axis=1)[real]  # [q, C + 4]
    return _Image(rows, chosen._replace(boxes=_cut(chosen.boxes)))


def _cut(boxes: Floats) -> Floats:
    """``cx, cy, w, h`` -> corners within the image, both ``[k, 4]``."""
    return np.clip(corners(boxes), 0, 1)


def _aligned(expected: Floats, rows: Floats) -> Floats | None:
    """`rows` ``[q, C + 4]`` in the order of `expected`: each where it stands, unless that is none of its like; None
    where there are fewer or more."""
    if rows.shape != expected.shape:
        return None
    moved = np.flatnonzero(~(np.abs(rows - expected).max(axis=1, initial=0) <= _NEAR))
    if len(moved) > _MOST_MOVED:
        return rows
    taken = rows.copy()
    left = list(moved)
    for place in moved:
        apart = np.abs(rows[left] - expected[place]).max(axis=1)
        taken[place] = rows[left.pop(int(apart.argmin()))]
    return taken


def _same(one: Found, other: Found, near: float = _NEAR) -> bool:
    """Whether each box that one finds has its like in the other, as `near` in corners and score."""
    if len(one.scores) != len(other.scores):
        return False
    corners_apart = np.abs(one.boxes[:, None] - other.boxes[None]).max(axis=2, initial=0)  # [k, k]
    apart = np.maximum(corners_apart, np.abs(one.scores[:, None] - other.scores[None]))
    like = (apart <= near) & (one.labels[:, None] == other.labels[None])
    # One box may be like several: all are the same where they can be paired so that each has its like.
    rows, columns = linear_sum_assignment(~like)
    return bool(like[rows, columns].all())


def _is_chance(model: Any, image: Mapping[str, Tensor], before: _Image, part: BoxPart) -> bool:
    """Whether torch finds other boxes than `before`, or predicts others, once pixels are moved by rounding."""
    draw = torch.Generator().manual_seed(0)
    for _ in range(_TRIES):
        pixels = image["pixel_values"]
        noise = _ROUNDING * torch.randn(pixels.shape, generator=draw) * image["pixel_mask"][:, None]
        (after,) = seen_in_torch(model, {**image, "pixel_values": pixels + noise}, part)
        aligned = _aligned(before.rows, after.rows)
        if aligned is None or not _same(before.found, after.found):
            return True
        if not np.abs(aligned - before.rows).max(initial=0) <= _NEAR:
            return True
    return False
