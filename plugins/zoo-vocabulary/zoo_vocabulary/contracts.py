"""What an initialisation of new rows is, and what it is given."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass

from torch import Generator, Tensor

from zoo.spec.options import Options


@dataclass(frozen=True)
class NewTokens:
    """The tokens that one matrix gets rows for. A bias over the vocabulary is a matrix of width 1."""

    old: Tensor
    """The rows of the old tokens, ``[V, D]``; not to be written to."""
    pieces: tuple[tuple[int, ...], ...]
    """For each of the N new tokens the rows in `old` of the tokens that it was before: one at least."""
    generator: Generator
    """The only source of randomness: seeded for this matrix, on the CPU."""


class VocabularyInit(ABC):
    """How the rows of new tokens start. Built as ``target(options)``, and asked once for each matrix.

    A tied matrix is asked for once; an untied output matrix and a bias on the logits each have rows of their own.
    """

    def __init__(self, options: Options) -> None:
        self.options = options

    @abstractmethod
    def rows(self, new: NewTokens) -> Tensor:
        """One row for each new token, ``[N, D]``, finite; the host rounds to the type of the matrix."""
