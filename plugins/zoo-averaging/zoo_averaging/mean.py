"""Weighted means of tensors, exact to the last bit of what is averaged."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor


def mean(tensors: Sequence[Tensor], shares: Sequence[float] | None = None) -> Tensor:
    """The mean of tensors of one shape, weighted by `shares` (which add up to 1) or equal; float64, on the CPU.

    Tensors that are all the same give that tensor, bit for bit.
    """
    first = tensors[0]
    if all(torch.equal(first, other) for other in tensors[1:]):
        return first.detach().to("cpu", torch.float64)
    total = torch.zeros(first.shape, dtype=torch.float64)
    for index, tensor in enumerate(tensors):
        total.add_(tensor.detach().to("cpu", torch.float64), alpha=1.0 if shares is None else shares[index])
    return total if shares is not None else total.div_(len(tensors))
