"""How the players begin, and what a maker's images may be."""

from __future__ import annotations

import pytest
import torch
from torch import nn
from zoo_generative.networks import Judge, Maker, Residual

from zoo.models.generators.contracts import Shape

SHAPE = Shape(3, 16, 16)


def players() -> tuple[Maker, Judge]:
    torch.manual_seed(1)
    return Maker(SHAPE, width=16, depth=1, latent=64), Judge(SHAPE, width=16, depth=1)


@pytest.mark.parametrize("value", [-20.0, -1.0, 0.0, 1.0])
def test_images_at_and_beyond_the_bounds_can_still_be_changed(value: float) -> None:
    """Each of the pixels follows the last bias one to one, black ones too: digits stand on black."""
    maker, _ = players()
    nn.init.zeros_(maker.last[-1].weight)
    nn.init.constant_(maker.last[-1].bias, value)
    images = maker(torch.randn(2, 64))
    assert torch.equal(images, torch.full_like(images, value))
    images.sum().backward()
    assert maker.last[-1].bias.grad.tolist() == [2 * 16 * 16] * 3


def test_outside_of_residuals_layers_begin_by_leaving_the_variance_as_it_is() -> None:
    for player in players():
        inside = {id(layer) for block in player.modules() if isinstance(block, Residual) for layer in block.modules()}
        layers = [
            item for item in player.modules() if isinstance(item, nn.Conv2d | nn.Linear) and id(item) not in inside
        ]
        assert len(layers) == 4, "the first, one at each of two halvings, the last"
        for layer in layers:
            inputs = layer.weight[0].numel()
            # Of n draws the mean square is 1 within 4 sqrt(2 / n), but once in ten thousand times.
            slack = 4 * (2 / layer.weight.numel()) ** 0.5
            assert inputs * layer.weight.square().mean().item() == pytest.approx(1, abs=slack)
            assert not layer.bias.any()


def test_the_first_images_differ_as_much_as_their_noise_does() -> None:
    """Variance 1 but for what is averaged in making them larger: they are not one grey image."""
    maker, _ = players()
    with torch.no_grad():
        images = maker(torch.randn(500, 64))  # [N, C, H, W]
    assert 0.4 < images.std(0).mean() < 1.2
