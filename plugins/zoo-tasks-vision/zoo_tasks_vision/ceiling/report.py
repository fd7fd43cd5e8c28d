"""The ceiling over a task's boxes, as a whole and by their shape."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np

from zoo.errors import InputError
from zoo.tasks import Example
from zoo_tasks_vision.bands import size_of
from zoo_tasks_vision.ceiling.assignment import Ceiling, Head, assignment_ceiling
from zoo_tasks_vision.metrics.options import RecallBySizeOptions

OVERLAPS = (0.5, 0.75, 0.9)


def ceiling_report(examples: Iterable[Example], head: Head, *, size: int | None = None) -> dict[str, Any]:
    """JSON-ready: ``boxes``, and of all and ``by_size`` the mean overlap, the share without a candidate, and the shares
    that can reach each of `OVERLAPS`.

    `size` is the long side in pixels that a detector's images are brought to; without it they are as they are. Strata
    are of the boxes in the task's images, as those of `recall-by-size`. Crowds are left out. Raises InputError without
    boxes.
    """
    boxes, sizes, names = [], [], []
    edges = RecallBySizeOptions()
    for example in examples:
        if example.image is None:
            continue
        height, width = example.image.size
        scale = 1.0 if size is None else size / max(height, width)
        for truth in example.boxes:
            if not truth.crowd:
                boxes.append([edge * scale for edge in truth.box])
                sizes.append([height * scale, width * scale])
                names.append(size_of(truth.box, edges.aspects, edges.heights))
    if not boxes:
        raise InputError("the examples have no boxes: this is about tasks of detection")
    found = assignment_ceiling(np.array(boxes), np.array(sizes), head)
    groups = np.array(names)
    return {
        "boxes": len(boxes),
        "size": size,
        "head": {"strides": list(head.strides), "reg_max": head.reg_max, "side_floor": head.side_floor},
        "all": _shares(found, np.ones(len(boxes), bool)),
        "by_size": {name: _shares(found, groups == name) for name in dict.fromkeys(sorted(names, key=_order))},
    }


def _shares(found: Ceiling, rows: np.ndarray[Any, np.dtype[np.bool_]]) -> dict[str, Any]:
    iou, has = found.iou[rows], found.found[rows]
    return {
        "boxes": len(iou),
        "mean_iou": float(iou.mean()),
        "without_candidate": float(1 - has.mean()),
        **{f"iou_{overlap:g}": float((iou >= overlap).mean()) for overlap in OVERLAPS},
    }


def _order(name: str) -> list[float]:
    """By the numbers of a stratum's name."""
    parts = name.replace(",", "").replace("-", " ").replace("<", "-1 ").replace(">=", "1e9 ").split()
    return [float(part) for part in parts if part.lstrip("-").replace(".", "", 1).replace("e", "", 1).isdigit()]
