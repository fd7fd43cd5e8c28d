"""Blocks against the formulas written out, and against MarianMTModel's layer where it is post-norm."""

import pytest
import torch
from torch import Tensor, nn
from zoo_blocks.residual import PostNorm, PreNorm

from zoo.spec.options import NoOptions

WIDTH = 8


def _x() -> Tensor:
    return torch.randn(2, 5, WIDTH, generator=torch.Generator().manual_seed(0))


class _Halve(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return x / 2


def test_pre_norm_is_its_formula() -> None:
    block = PreNorm(NoOptions(), 2, _Halve, 0.0)
    x = _x()
    middle = x + torch.sin(x / 2)
    torch.testing.assert_close(block(x, (torch.sin, torch.cos)), middle + torch.cos(middle / 2))


def test_post_norm_is_its_formula() -> None:
    block = PostNorm(NoOptions(), 2, _Halve, 0.0)
    x = _x()
    middle = (x + torch.sin(x)) / 2
    torch.testing.assert_close(block(x, (torch.sin, torch.cos)), (middle + torch.cos(middle)) / 2)


def test_only_pre_norm_asks_for_a_last_normalisation() -> None:
    """Its residual stream is never normalised otherwise (Xiong et al. 2020, table 1)."""
    assert PreNorm.final_norm
    assert not PostNorm.final_norm


@pytest.mark.parametrize("block_class", [PreNorm, PostNorm])
def test_sublayers_have_normalisations_of_their_own(block_class: type[PreNorm] | type[PostNorm]) -> None:
    block = block_class(NoOptions(), 3, lambda: nn.LayerNorm(WIDTH), 0.0)
    assert len({id(norm) for norm in block.norms}) == 3


def test_dropout_falls_on_sublayers_and_spares_the_residual_path() -> None:
    block = PreNorm(NoOptions(), 1, nn.Identity, 0.5).train()
    torch.manual_seed(0)
    x = torch.ones(4, 50, WIDTH)
    added = block(x, (torch.ones_like,)) - x
    # Inverted dropout: what survives is doubled.
    assert set(added.unique().tolist()) == {0.0, 2.0}


@pytest.mark.parametrize("block_class", [PreNorm, PostNorm])
def test_the_wrong_number_of_sublayers_is_refused(block_class: type[PreNorm] | type[PostNorm]) -> None:
    with pytest.raises(ValueError, match="shorter|longer"):
        block_class(NoOptions(), 3, nn.Identity, 0.0)(_x(), (torch.sin, torch.cos))
