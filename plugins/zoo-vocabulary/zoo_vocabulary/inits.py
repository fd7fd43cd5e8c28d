"""The initialisations of new rows. Sums are taken in double precision, whatever the matrix is held in."""

from __future__ import annotations

import torch
from torch import Tensor

from zoo_vocabulary.contracts import NewTokens, VocabularyInit
from zoo_vocabulary.options import MultivariateNormalOptions, RandomOptions

_CHUNK = 8192
"""Rows that are held in double precision at once."""


class MeanOfPieces(VocabularyInit):
    """The mean of the old rows of the token's pieces; in an output matrix that gives the mean of their logits."""

    def rows(self, new: NewTokens) -> Tensor:
        if not new.pieces:
            return new.old[:0]
        return torch.stack([new.old[list(pieces)].double().mean(0) for pieces in new.pieces])  # [N, D]


class GlobalMean(VocabularyInit):
    """The mean of all old rows: by Jensen's inequality no old probability falls below 1 / (1 + N/V) of what it was
    (Hewitt 2021)."""

    def rows(self, new: NewTokens) -> Tensor:
        return mean_of(new.old).expand(len(new.pieces), -1)  # [N, D]


class MultivariateNormal(VocabularyInit):
    """Draws of N(mean, scale x covariance) of the old rows (Hewitt 2021)."""

    options: MultivariateNormalOptions

    def rows(self, new: NewTokens) -> Tensor:
        mean = mean_of(new.old)  # [D]
        values, vectors = torch.linalg.eigh(covariance_of(new.old, mean))  # [D], [D, D]
        # Fewer rows than columns make a covariance without an inverse, which Cholesky's method cannot take.
        root = vectors * (self.options.scale * values.clamp(min=0)).sqrt()  # [D, D]
        noise = torch.randn(len(new.pieces), len(mean), generator=new.generator, dtype=torch.float64)  # [N, D]
        drawn: Tensor = mean + noise @ root.T  # [N, D]
        return drawn


class Random(VocabularyInit):
    """N(0, std^2), each number by itself."""

    options: RandomOptions

    def rows(self, new: NewTokens) -> Tensor:
        shape = (len(new.pieces), new.old.shape[1])
        std = self.options.std
        if std is None:
            finite = _finite(new.old).double()
            std = float(finite.std(correction=0)) if finite.numel() else 0.0
        return torch.randn(shape, generator=new.generator, dtype=torch.float64) * std  # [N, D]


def mean_of(rows: Tensor) -> Tensor:
    """The mean of the finite rows of ``[V, D]``, ``[D]`` in double precision."""
    finite = _finite(rows)
    total = torch.zeros(rows.shape[1], dtype=torch.float64)
    for start in range(0, len(finite), _CHUNK):
        total += finite[start : start + _CHUNK].double().sum(0)  # [D]
    return total / max(1, len(finite))


def covariance_of(rows: Tensor, mean: Tensor) -> Tensor:
    """The covariance of the finite rows of ``[V, D]`` over V, not V - 1: ``[D, D]`` in double precision."""
    finite = _finite(rows)
    total = torch.zeros(rows.shape[1], rows.shape[1], dtype=torch.float64)
    for start in range(0, len(finite), _CHUNK):
        centred = finite[start : start + _CHUNK].double() - mean  # [C, D]
        total += centred.T @ centred  # [D, D]
    return total / max(1, len(finite))


def _finite(rows: Tensor) -> Tensor:
    """Without the rows that forbid a token: a bias of -inf is no value to average."""
    allowed = torch.isfinite(rows).all(1)  # [V]
    return rows if bool(allowed.all()) else rows[allowed]
