"""Weighted means of tensors, rounded once."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import torch
from torch import Tensor


def mean(tensors: Iterable[Tensor], shares: Sequence[float] | None = None) -> Tensor:
    """The mean of tensors of one shape, weighted by `shares` (which add up to 1) or equal; float64, on the CPU.

    Tensors that are all the same give that tensor, bit for bit. Three of them are in memory at once, if `tensors`
    makes them one by one.
    """
    first = total = None
    alike, count = True, 0
    for tensor in tensors:
        held = tensor.detach().to("cpu")
        if first is None or total is None:
            first, total = held, torch.zeros(held.shape, dtype=torch.float64)
        alike = alike and torch.equal(first, held)
        total.add_(held.to(torch.float64), alpha=1.0 if shares is None else shares[count])
        count += 1
    if first is None or total is None:
        raise ValueError("a mean needs at least one tensor")
    if alike:
        return first.to(torch.float64)
    return total if shares is not None else total.div_(count)
