"""Diffusion against the papers' formulas."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from torch import Tensor
from zoo_generative.ddpm import Ddpm, levels_of, signal_shares, step_down
from zoo_generative.options import DdpmOptions

from zoo.models.generators.contracts import Shape

SHAPE = Shape(3, 4, 8)


def test_linear_variances_are_the_papers() -> None:
    shares = signal_shares(1000, "linear")
    variances = 1 - shares / np.concatenate(([1.0], shares[:-1]))
    assert variances[[0, 999]] == pytest.approx([1e-4, 0.02])
    assert np.diff(variances) == pytest.approx(np.full(999, (0.02 - 1e-4) / 999))
    # Section 4 of Ho et al.: the KL of the last level from pure noise is about 1e-5 bits a dimension.
    kl = 0.5 * (shares[-1] * 1.0 + (1 - shares[-1]) - 1 - math.log(1 - shares[-1])) / math.log(2)
    assert kl < 1e-4
    assert signal_shares(50, "linear")[-1] < 1e-4, "as noisy for any number of levels"


def test_the_cosine_is_a_cosine_but_at_its_end() -> None:
    shares = signal_shares(100, "cosine")
    at = (np.arange(1, 101) / 100 + 0.008) / 1.008
    expected = np.cos(at * math.pi / 2) ** 2 / np.cos(0.008 / 1.008 * math.pi / 2) ** 2
    assert shares[:99] == pytest.approx(expected[:99])
    assert shares[99] == pytest.approx(shares[98] * 0.001), "no variance is above 0.999"


@pytest.mark.parametrize("level", [1, 7, 19])
def test_a_step_with_all_its_noise_is_the_posterior(level: int) -> None:
    """Ho et al. 2020, equation 7, written out."""
    shares = signal_shares(20, "linear")
    share, below = shares[level], shares[level - 1]
    alpha = share / below
    noisy, image = torch.randn(2, 4, 3, dtype=torch.float64)
    mean, deviation = step_down(noisy, image, share, below, eta=1.0)
    expected = math.sqrt(below) * (1 - alpha) / (1 - share) * image
    expected = expected + math.sqrt(alpha) * (1 - below) / (1 - share) * noisy
    torch.testing.assert_close(mean, expected)
    assert deviation**2 == pytest.approx((1 - below) / (1 - share) * (1 - alpha))


@pytest.mark.parametrize("eta", [0.0, 0.4, 1.0])
def test_a_step_leaves_as_much_noise_as_its_level_has(eta: float) -> None:
    """Song et al. 2021, lemma 1: noise of the one level becomes noise of the next, however much of it is fresh."""
    share, below = 0.3, 0.7
    noise = torch.ones(1, dtype=torch.float64)
    mean, deviation = step_down(math.sqrt(1 - share) * noise, 0 * noise, share, below, eta)
    assert mean.item() ** 2 + deviation**2 == pytest.approx(1 - below)


def test_the_last_step_gives_the_image_itself() -> None:
    noisy, image = torch.randn(2, 5)
    mean, deviation = step_down(noisy, image, 0.9, 1.0, eta=1.0)
    assert deviation == 0
    torch.testing.assert_close(mean, image)


def test_levels_are_spread_evenly_from_the_noisiest_to_the_least() -> None:
    assert levels_of(1000, 1) == [999]
    assert levels_of(1000, 3) == [999, 500, 0]
    assert levels_of(10, 10) == list(range(9, -1, -1))
    assert all(len(set(levels_of(50, count))) == count for count in range(1, 51))


@pytest.mark.parametrize(("eta", "steps"), [(1.0, None), (1.0, 5), (0.0, 5), (0.0, 1)])
def test_with_a_network_that_knows_the_noise_the_image_comes_out(eta: float, steps: int | None) -> None:
    model = Ddpm(DdpmOptions(width=4, steps=100, eta=eta, sampling_steps=steps), SHAPE)
    known = torch.rand(3, 4, 8) * 1.6 - 0.8
    shares = torch.as_tensor(signal_shares(100, "linear"), dtype=torch.float32)

    def knowing(noisy: Tensor, times: Tensor) -> Tensor:
        share = shares[times][:, None, None, None]
        return (noisy - share.sqrt() * known) / (1 - share).sqrt()

    model.network.forward = knowing  # type: ignore[method-assign]
    made = model.generate(2, torch.Generator().manual_seed(1))
    torch.testing.assert_close(made, known.expand(2, -1, -1, -1), atol=1e-4, rtol=0)


def test_the_loss_of_a_network_that_says_nothing_is_the_noise_itself() -> None:
    model = Ddpm(DdpmOptions(width=4), SHAPE)  # its last layer begins at zero
    torch.manual_seed(2)
    loss = model.losses(torch.zeros(64, 3, 4, 8))["noise"].item()
    torch.manual_seed(2)
    torch.randint(1000, (64,))
    assert loss == pytest.approx(torch.randn(64, 3, 4, 8).square().mean().item())


def test_the_network_is_told_the_level() -> None:
    model = Ddpm(DdpmOptions(width=4), SHAPE)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.1 * torch.randn_like(parameter))
        image = torch.randn(1, 3, 4, 8)
        first, second = (model.network(image, torch.tensor([level])) for level in (3, 4))
    assert (first - second).abs().max() > 1e-5
