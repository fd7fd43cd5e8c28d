"""Waiting for a device, where there is one to wait for. Without torch where there is none."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch


def waiter(device: torch.device | None) -> Callable[[], None] | None:
    """What waits until everything queued on the device is done; None where nothing is ever queued: on a CPU (None).

    Raises ValueError for a device that no instrument here can time.
    """
    if device is None:
        return None
    from zoo.measure.device import device_kind, synchronize

    return partial(synchronize, device) if device_kind(device) == "cuda" else None
