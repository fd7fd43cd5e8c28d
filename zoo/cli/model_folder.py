"""What a folder with a model is: an export, or a training; one that torch runs counts as that."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from zoo.errors import InputError


def kind_of(model: Path) -> Literal["export", "training"]:
    """Without torch. Raises InputError where it is neither."""
    from zoo.export.folder import EXPORT_FILE, is_in_torch

    expected = "expected one that 'zoo export' or 'zoo train' made"
    if not model.is_dir():
        raise InputError(f"no such folder; {expected}", where=str(model))
    if (model / EXPORT_FILE).is_file():
        return "training" if is_in_torch(model) else "export"
    if not (model / "config.json").is_file():
        raise InputError(f"neither {EXPORT_FILE} nor config.json here; {expected}", where=str(model))
    return "training"
