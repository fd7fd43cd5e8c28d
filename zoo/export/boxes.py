"""How an export finds boxes as its model does."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from zoo.export.folder import BoxPart, Category
from zoo.spec.detection_spec import DetectionSection


def box_part(model: Any, section: DetectionSection) -> BoxPart:
    """What ``export.json`` says of a detector that finds boxes as `section` has it."""
    names = {int(label): str(name) for label, name in model.config.id2label.items()}
    return BoxPart(
        categories=[Category(number=number, name=names[label]) for label, number in enumerate(model.categories)],
        multiple=model.frame_multiple,
        **asdict(model.detector.choice),
        min_score=section.min_score,
        max_detections=section.max_detections,
        batch_size=section.batch_size,
    )
