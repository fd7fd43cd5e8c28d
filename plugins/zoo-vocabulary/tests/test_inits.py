"""The initialisations against their definitions."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from zoo_vocabulary.contracts import NewTokens
from zoo_vocabulary.inits import GlobalMean, MeanOfPieces, MultivariateNormal, Random
from zoo_vocabulary.options import MultivariateNormalOptions, RandomOptions

from zoo.spec import NoOptions

MANY = 40_000


def old_rows() -> torch.Tensor:
    """``[30, 4]``, with columns that depend on each other and on no common mean."""
    draw = torch.Generator().manual_seed(1)
    return torch.randn(30, 4, generator=draw) @ torch.randn(4, 4, generator=draw) + torch.tensor([3.0, -1.0, 0.0, 2.0])


def new(old: torch.Tensor, count: int = MANY) -> NewTokens:
    return NewTokens(old, ((0,),) * count, torch.Generator().manual_seed(2))


@pytest.mark.parametrize("scale", [1.0, 0.01])
def test_multivariate_normal_has_the_mean_and_covariance_of_the_old_rows(scale):
    old = old_rows()
    rows = MultivariateNormal(MultivariateNormalOptions(scale=scale)).rows(new(old)).numpy()
    mean, covariance = old.double().numpy().mean(0), np.cov(old.double().numpy().T, bias=True) * scale
    deviations = np.sqrt(np.diag(covariance))
    # Standard errors of a mean and of a covariance of independent normal draws.
    assert np.abs(rows.mean(0) - mean).max() < 5 * deviations.max() / np.sqrt(MANY)
    error = np.sqrt((np.outer(deviations**2, deviations**2) + covariance**2) / MANY)
    assert (np.abs(np.cov(rows.T) - covariance) < 5 * error).all()


def test_multivariate_normal_stays_in_the_span_of_few_rows():
    old = torch.tensor([[1.0, 0.0, 5.0, 0.0], [0.0, 1.0, 5.0, 0.0], [1.0, 1.0, 5.0, 0.0]])
    rows = MultivariateNormal(MultivariateNormalOptions()).rows(new(old, 50))
    assert torch.allclose(rows[:, 2], torch.full((50,), 5.0, dtype=rows.dtype), atol=1e-6)
    assert torch.allclose(rows[:, 3], torch.zeros(50, dtype=rows.dtype), atol=1e-6)
    assert rows[:, 0].std() > 0.1


def test_global_mean_bounds_what_old_tokens_lose():
    # Hewitt 2021: with N new rows no old probability falls below 1 / (1 + N/V) of what it was.
    old, count = old_rows(), 6
    rows = GlobalMean(NoOptions()).rows(new(old, count))
    state = torch.randn(4, generator=torch.Generator().manual_seed(7), dtype=torch.float64)
    before = (old.double() @ state).softmax(0)
    after = (torch.cat((old.double(), rows)) @ state).softmax(0)[: len(old)]
    assert (after >= before / (1 + count / len(old)) - 1e-12).all()
    torch.testing.assert_close(rows[0], old.double().mean(0))


def test_mean_of_pieces_gives_the_mean_of_their_logits():
    old = old_rows().double()
    rows = MeanOfPieces(NoOptions()).rows(NewTokens(old, ((3, 7, 7),), torch.Generator()))
    state = torch.randn(4, generator=torch.Generator().manual_seed(7), dtype=torch.float64)
    torch.testing.assert_close(rows @ state, ((old[3] + 2 * old[7]) @ state / 3)[None])


@pytest.mark.parametrize("std", [None, 0.02])
def test_random_rows_lie_around_zero(std):
    old = old_rows()
    rows = Random(RandomOptions(std=std)).rows(new(old, 10_000))
    expected = std or float(old.double().numpy().std())
    assert abs(float(rows.mean())) < 5 * expected / np.sqrt(rows.numel())
    assert float(rows.std()) == pytest.approx(expected, rel=5 / np.sqrt(2 * rows.numel()))


def test_a_bias_of_zeros_stays_one():
    old = torch.zeros(30, 1)
    for init in (Random(RandomOptions()), MultivariateNormal(MultivariateNormalOptions()), GlobalMean(NoOptions())):
        assert not init.rows(new(old, 3)).any()
