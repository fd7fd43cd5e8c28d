"""How one tensor of a zoo model is made of a pretrained model's."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

import torch
from torch import Tensor


def stacked(*tensors: Tensor) -> Tensor:
    """Matrices or biases on top of each other: zoo's fused projections are ordered q, k, v."""
    return tensors[0] if len(tensors) == 1 else torch.cat(tensors)


@dataclass(frozen=True)
class Piece:
    """`target` (a name in the zoo model) is ``make(*tensors of sources)``."""

    target: str
    sources: tuple[str, ...]
    make: Callable[..., Tensor] = stacked
    optional: bool = False
    """Whether a checkpoint may lack the sources, the target then keeping its initial value."""
    fallback: tuple[str, ...] = ()
    """Sources to take where the first ones are not there: matrices that the checkpoint ties without saying so."""


Translation = Iterable[Piece]


def linear(target: str, sources: tuple[str, ...], *, bias: bool) -> Iterator[Piece]:
    """Weight, and bias where there is one, of one linear map from one or several."""
    for kind in ("weight", "bias") if bias else ("weight",):
        yield Piece(f"{target}.{kind}", tuple(f"{source}.{kind}" for source in sources))
