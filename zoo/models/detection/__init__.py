"""Detectors: what the core asks of them, and the transformers model that holds one."""

from zoo.models.detection.choosing import Choice, Scored
from zoo.models.detection.contracts import Candidates, Detector, Found, Labels, Matched, Matcher

__all__ = ["Candidates", "Choice", "Detector", "Found", "Labels", "Matched", "Matcher", "Scored"]
