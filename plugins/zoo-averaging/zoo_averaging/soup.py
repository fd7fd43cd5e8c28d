"""Averages of trained models: all of them, or those that help (a greedy soup)."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import reduce

import torch
from torch import Tensor

from zoo_averaging.inputs import Input
from zoo_averaging.mean import mean


def averaged(inputs: Sequence[Input], shares: Sequence[float] | None = None) -> Iterator[tuple[str, Tensor]]:
    """The mean of each tensor by name, one by one: in float64, then rounded to the widest type that an input has.

    A matrix that several names share stands in the files once. What does not float (a counter) is the first model's.
    """
    for name in inputs[0].shapes:
        first = inputs[0].tensor(name)
        if not first.is_floating_point():
            yield name, first
            continue
        types: list[torch.dtype] = []
        yield name, mean(_noting(inputs, name, types), shares).to(reduce(torch.promote_types, types))


def _noting(inputs: Sequence[Input], name: str, types: list[torch.dtype]) -> Iterator[Tensor]:
    for one in inputs:
        tensor = one.tensor(name)
        types.append(tensor.dtype)
        yield tensor


@dataclass(frozen=True)
class Soup:
    """Which of the inputs make a greedy soup."""

    order: list[int]
    """Places of the inputs, the best one first."""
    tried: list[float]
    """In this order: the score of the soup with this input; the first one's is its own."""
    taken: list[int]
    score: float
    """That of the soup."""


def greedy_soup(scores: Sequence[float], score_of: Callable[[Sequence[int]], float], *, higher: bool) -> Soup:
    """Wortsman et al. (2022, arXiv:2203.05482), algorithm 1: best first, each stays if the score gets no worse.

    `scores` are those of the single inputs, `score_of` gives that of the mean of some; `higher` ones are better.
    """
    sign = -1.0 if higher else 1.0
    order = sorted(range(len(scores)), key=lambda place: sign * scores[place])
    taken, best = [order[0]], scores[order[0]]
    tried = [best]
    for place in order[1:]:
        found = score_of([*taken, place])
        tried.append(found)
        if sign * found <= sign * best:
            taken.append(place)
            best = found
    return Soup(order, tried, taken, best)
