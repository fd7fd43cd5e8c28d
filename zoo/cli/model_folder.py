"""What a folder with a model is: an export, or a training; and where it is asked to compute."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

import click

from zoo.errors import InputError

DEVICE = click.option(
    "--device",
    default="auto",
    show_default=True,
    metavar="DEVICE",
    help="Where to compute: cpu, cuda, cuda:N, or auto: a GPU where there is one; of an export only if it was made for "
    "GPUs (--preset gpu).",
)
"""The option of commands that run a model in torch or an export."""


def torch_device(word: str) -> Any:
    """The device that `--device` names, of a model in torch. Raises InputError where it cannot be had."""
    import torch

    from zoo.export.runtime.devices import GPU, parsed
    from zoo.measure.device import default_device

    device = parsed(word)
    if device is None:
        return default_device()
    if device.kind == GPU and device.number >= torch.cuda.device_count():
        count = torch.cuda.device_count()
        raise InputError(f"device '{device.name}': torch {torch.__version__} finds {count or 'no'} GPUs here")
    return torch.device(device.kind, device.number)


def kind_of(model: Path) -> Literal["export", "training"]:
    """Without torch. Raises InputError where it is neither."""
    from zoo.export.folder import EXPORT_FILE

    expected = "expected one that 'zoo export' or 'zoo train' made"
    if not model.is_dir():
        raise InputError(f"no such folder; {expected}", where=str(model))
    if (model / EXPORT_FILE).is_file():
        return "export"
    if not (model / "config.json").is_file():
        raise InputError(f"neither {EXPORT_FILE} nor config.json here; {expected}", where=str(model))
    return "training"
