"""From a resolved spec to a trained model in a folder.

The public names are imported on first use, so that a plugin that needs only `zoo.training.contracts` does not import
transformers.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from zoo.training.building import Built, build
    from zoo.training.loading import Run, load_run
    from zoo.training.outcome import CurvePoint, TrainingOutcome
    from zoo.training.preparation import Prepared, prepare
    from zoo.training.run import train

_HOMES = {
    "Built": "building",
    "build": "building",
    "CurvePoint": "outcome",
    "TrainingOutcome": "outcome",
    "Prepared": "preparation",
    "prepare": "preparation",
    "Run": "loading",
    "load_run": "loading",
    "train": "run",
}

__all__ = ["Built", "CurvePoint", "Prepared", "Run", "TrainingOutcome", "build", "load_run", "prepare", "train"]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.{_HOMES[name]}"), name)
