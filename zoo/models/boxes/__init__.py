"""Boxes of detectors: the contracts of what is trained and matched on them."""

from zoo.models.boxes.contracts import BoxLoss

__all__ = ["BoxLoss"]
