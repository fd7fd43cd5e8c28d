"""From images to the boxes that a detector finds in them: what evaluation scores and what the clocks time."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import torch

from zoo.measure.reading import ImageReader
from zoo.models.detection.contracts import Found
from zoo.models.modes import evaluating
from zoo.spec.detection_spec import DetectionSection
from zoo.tasks.contracts import Progress, silent
from zoo.tasks.detection import Detection, GroundTruth
from zoo.tasks.images import Source

Detections = tuple[Detection, ...]


def detect_batch(model: Any, images: Sequence[Source], section: DetectionSection) -> list[Detections]:
    """What is found in each image, in its own pixels, surest first. The model's mode is the caller's."""
    reader = ImageReader(model.image_processor)
    encoded = reader.encoded(images, model.device, limit=0)
    found = model.detect(**encoded)
    return [_in_pixels(item, image, model, section) for item, image in zip(found, images, strict=True)]


def detect_all(
    model: Any, images: Sequence[Source], section: DetectionSection, progress: Progress = silent
) -> list[Detections]:
    """What is found in all images, in their order. Batches hold images of like size and shape, largest first."""
    cells = ImageReader(model.image_processor).lengths(images)
    widths = [image.size[1] for image in images if not isinstance(image, (str, tuple))]  # the reader refuses texts
    order = sorted(range(len(images)), key=lambda index: (-cells[index], widths[index], index))
    outputs: list[Detections] = [()] * len(images)
    with evaluating(model):
        for start in range(0, len(order), section.batch_size):
            chosen = order[start : start + section.batch_size]
            for index, one in zip(chosen, detect_batch(model, [images[i] for i in chosen], section), strict=True):
                outputs[index] = one
            progress("detect", min(start + len(chosen), len(order)), len(order))
    return outputs


def _in_pixels(found: Found, image: Source, model: Any, section: DetectionSection) -> Detections:
    assert not isinstance(image, (str, tuple))  # the reader has refused it
    height, width = image.size
    scores = found.scores.float().cpu()  # [k]
    kept = torch.nonzero(scores >= section.min_score)[: section.max_detections, 0]  # [k']
    boxes = found.boxes.float().cpu()[kept].double()  # [k', 4]
    half = boxes[:, 2:] / 2
    low, high = boxes[:, :2] - half, boxes[:, :2] + half
    scale = boxes.new_tensor([width, height])
    corners = torch.cat((low * scale, high * scale), dim=1).tolist()
    categories = [model.categories[label] for label in found.labels.cpu()[kept].tolist()]
    rows = zip(corners, scores[kept].tolist(), categories, strict=True)
    return tuple(Detection((x1, y1, x2, y2), score, category) for (x1, y1, x2, y2), score, category in rows)


def boxes_as_text(boxes: Sequence[Detection | GroundTruth]) -> str:
    """Boxes as a record shows them: JSON, corners to a tenth of a pixel, scores to three digits."""
    return json.dumps(
        [
            {
                "box": [round(value, 1) for value in item.box],
                "category": item.category,
                **({"score": round(item.score, 3)} if isinstance(item, Detection) else {}),
                **({"crowd": True} if isinstance(item, GroundTruth) and item.crowd else {}),
            }
            for item in boxes
        ],
        separators=(",", ":"),
    )


def detection_probes(outputs: Sequence[Detections]) -> dict[str, float]:
    """Scalars beside the scores: boxes of an image, and the share of images where none is found."""
    counts = [len(found) for found in outputs]
    return {
        "detections_per_image": sum(counts) / len(counts),
        "images_without_detections": sum(not count for count in counts) / len(counts),
    }


def nothing_found(outputs: Sequence[Detections], truths: Sequence[Sequence[GroundTruth]]) -> str | None:
    """Why a detector counts as collapsed, in one line, or None: it finds nothing at all where there is something."""
    if any(outputs) or not any(truths):
        return None
    return f"no box is found in any of {len(outputs)} images"
