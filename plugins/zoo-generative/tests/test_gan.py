"""The players' losses and penalties against formulas by hand."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from zoo_generative.gan import Gan, Nsgan, R3gan, penalised
from zoo_generative.options import NsganOptions, R3ganOptions

from zoo.models.generators.contracts import Shape

SHAPE = Shape(3, 4, 8)
REAL, MADE = (torch.tensor(values, dtype=torch.float64) for values in ([-1.3, 0.4, 60.0], [0.7, -2.0, -0.1]))


def sigmoid(values: np.ndarray) -> np.ndarray:
    return 1 / (1 + np.exp(-values))


def game(kind: type[Gan]) -> Gan:
    torch.manual_seed(1)
    options = {Nsgan: NsganOptions(width=4, latent=3, r1=0.5), R3gan: R3ganOptions(width=4, latent=3, r1=2.0, r2=0.25)}
    made = kind(options[kind], SHAPE)  # type: ignore[type-abstract]
    with torch.no_grad():  # residuals begin at zero, which would hide what flows through them
        for parameter in made.parameters():
            parameter.add_(0.1 * torch.randn_like(parameter))
    return made.double()


def test_the_non_saturating_losses_are_the_papers() -> None:
    gan, real, made = game(Nsgan), REAL.numpy(), MADE.numpy()
    expected = -np.mean(np.log(sigmoid(real)) + np.log(1 - sigmoid(made)))
    assert gan.judges_loss(REAL, MADE).item() == pytest.approx(expected, rel=1e-12)
    assert gan.makers_loss(REAL, MADE).item() == pytest.approx(-np.mean(np.log(sigmoid(made))), rel=1e-12)


def test_the_relativistic_losses_are_of_pairs_and_mirror_each_other() -> None:
    gan, apart = game(R3gan), REAL.numpy() - MADE.numpy()
    assert gan.judges_loss(REAL, MADE).item() == pytest.approx(np.mean(-np.log(sigmoid(apart))), rel=1e-12)
    assert gan.makers_loss(REAL, MADE).item() == pytest.approx(np.mean(-np.log(sigmoid(-apart))), rel=1e-12)
    assert torch.equal(gan.makers_loss(REAL, MADE), gan.judges_loss(MADE, REAL))


def test_the_penalty_of_a_linear_judge_is_the_square_of_its_weights() -> None:
    """And the gradient of that is twice the weights: it is differentiated a second time."""

    class Linear(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.weights = nn.Parameter(torch.arange(24, dtype=torch.float64) / 7)

        def forward(self, images: Tensor) -> Tensor:
            return images.flatten(1) @ self.weights + 3

    judge, images = Linear(), torch.randn(5, 3, 2, 4, dtype=torch.float64)
    scores, penalty = penalised(judge, images)
    assert torch.equal(scores, judge(images))
    assert penalty.item() == pytest.approx(judge.weights.square().sum().item(), rel=1e-12)
    penalty.backward()
    torch.testing.assert_close(judge.weights.grad, 2 * judge.weights.detach())


def test_the_penalty_is_a_mean_over_images_also_without_gradients() -> None:
    """Of half the squared norm, whose slope is the image itself."""
    images = torch.randn(5, 3, 2, 4, dtype=torch.float64, requires_grad=True)

    def judge(some: Tensor) -> Tensor:
        return some.flatten(1).square().sum(1) / 2

    with torch.no_grad():
        scores, penalty = penalised(judge, images)  # type: ignore[arg-type]
    assert penalty.item() == pytest.approx(images.detach().flatten(1).square().sum(1).mean().item(), rel=1e-12)
    assert not scores.requires_grad
    assert not penalty.requires_grad


@pytest.mark.parametrize("kind", [Nsgan, R3gan])
def test_no_players_loss_reaches_the_other(kind: type[Gan]) -> None:
    gan, images = game(kind), torch.rand(6, 3, 4, 8, dtype=torch.float64)
    for name in gan.weights:
        gan.zero_grad()
        gan.losses(images)[name].backward()
        own, other = (gan.maker, gan.judge) if name == "maker" else (gan.judge, gan.maker)
        assert all(item.grad is None for item in other.parameters()), name
        assert any(item.grad is not None and item.grad.any() for item in own.parameters()), name


def test_both_players_step_together_as_each_would_alone() -> None:
    """The gradient of the sum is that of each player's own objective, written out."""
    gan, images = game(R3gan), torch.rand(6, 3, 4, 8, dtype=torch.float64)
    torch.manual_seed(7)
    found = gan.losses(images)
    sum(found[name] * weight for name, weight in gan.weights.items()).backward()  # type: ignore[union-attr]
    torch.manual_seed(7)
    made = gan.maker(torch.randn(6, 3, dtype=torch.float64))
    points = [images.clone().requires_grad_(), made.detach().requires_grad_()]
    scores = [gan.judge(some) for some in points]
    slopes = [torch.autograd.grad(s.sum(), p, create_graph=True)[0] for s, p in zip(scores, points, strict=True)]
    norms = [slope.flatten(1).square().sum(1).mean() for slope in slopes]
    judges = -torch.log(torch.sigmoid(scores[0] - scores[1])).mean() + 2.0 / 2 * norms[0] + 0.25 / 2 * norms[1]
    for parameter, expected in zip(
        gan.judge.parameters(), torch.autograd.grad(judges, list(gan.judge.parameters())), strict=True
    ):
        torch.testing.assert_close(parameter.grad, expected)
    makers = -torch.log(torch.sigmoid(gan.judge(made) - gan.judge(images))).mean()
    for parameter, expected in zip(
        gan.maker.parameters(), torch.autograd.grad(makers, list(gan.maker.parameters())), strict=True
    ):
        torch.testing.assert_close(parameter.grad, expected)
