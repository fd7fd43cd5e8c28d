"""Blocks against their papers' formulas, written out in float64 (whole models of other makers: test_oracles)."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from zoo_blocks.depth import deep_norm_alpha
from zoo_blocks.residual import BottomToTop, DeepNorm, PostNorm, PreNorm, Sandwich

from zoo.models.contracts import Block, BlockContext
from zoo.spec.options import NoOptions

WIDTH = 8
BLOCKS = (PreNorm, PostNorm, BottomToTop, Sandwich, DeepNorm)


def _context(sublayers: int, make_norm: Callable[[], nn.Module], dropout: float = 0.0, **place: Any) -> BlockContext:
    place = {"side": "encoder", "layer": 0, "encoder_layers": 3, "decoder_layers": 2, **place}
    return BlockContext(**place, sublayers=sublayers, make_norm=make_norm, dropout=dropout)


def _build(
    block_class: type[Block],
    sublayers: int,
    make_norm: Callable[[], nn.Module],
    dropout: float = 0.0,
    **place: Any,
) -> Block:
    return block_class(NoOptions(), _context(sublayers, make_norm, dropout, **place))


def _x(*leading: int) -> Tensor:
    return torch.randn(*(leading or (2, 5)), WIDTH, generator=torch.Generator().manual_seed(0), dtype=torch.float64)


def _norm(x: Tensor) -> Tensor:
    """Ba et al. 2016, section 3, without gain and shift."""
    mean = x.sum(-1, keepdim=True) / WIDTH
    return (x - mean) / (((x - mean) ** 2).sum(-1, keepdim=True) / WIDTH + 1e-5) ** 0.5


def _layer_norm() -> nn.Module:
    return nn.LayerNorm(WIDTH, eps=1e-5, dtype=torch.float64)


@pytest.mark.parametrize("cross", [False, True], ids=["encoder", "decoder"])
@pytest.mark.parametrize("block_class", BLOCKS)
def test_a_block_is_its_formula(block_class: type[Block], cross: bool) -> None:
    attend, read, feed = torch.sin, torch.cos, torch.tanh
    x = _x()

    def pre() -> Tensor:
        y = x + attend(_norm(x))
        y = y + read(_norm(y)) if cross else y
        return y + feed(_norm(y))

    def post() -> Tensor:
        y = _norm(x + attend(x))
        y = _norm(y + read(y)) if cross else y
        return _norm(y + feed(y))

    def bottom_to_top() -> Tensor:  # Takase et al. 2023: x again in the last sum, and in no other
        y = _norm(x + attend(x))
        y = _norm(y + read(y)) if cross else y
        return _norm(x + y + feed(y))

    def sandwich() -> Tensor:
        y = x + _norm(attend(_norm(x)))
        y = y + _norm(read(_norm(y))) if cross else y
        return y + _norm(feed(_norm(y)))

    def deep() -> Tensor:  # Wang et al. 2022, figure 2: N = 3, M = 2
        alpha = 6**0.25 if cross else 0.81 * (3**4 * 2) ** (1 / 16)
        y = _norm(alpha * x + attend(x))
        y = _norm(alpha * y + read(y)) if cross else y
        return _norm(alpha * y + feed(y))

    expected = dict(zip(BLOCKS, (pre, post, bottom_to_top, sandwich, deep), strict=True))[block_class]()
    block = _build(block_class, 3 if cross else 2, _layer_norm, side="decoder" if cross else "encoder")
    found = block(x, (attend, read, feed) if cross else (attend, feed))
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-12)


def test_only_blocks_with_a_bare_residual_path_ask_for_a_last_normalisation() -> None:
    """Their residual stream is never normalised otherwise (Xiong et al. 2020, table 1)."""
    assert [block for block in BLOCKS if block.final_norm] == [PreNorm, Sandwich]


@pytest.mark.parametrize("block_class", BLOCKS)
def test_sublayers_have_normalisations_of_their_own(block_class: type[Block]) -> None:
    block = _build(block_class, 3, _layer_norm)
    norms = [module for module in block.modules() if isinstance(module, nn.LayerNorm)]
    assert len(norms) == (6 if block_class is Sandwich else 3)


@pytest.mark.parametrize("block_class", BLOCKS)
def test_dropout_falls_on_sublayers_and_spares_the_residual_path(block_class: type[Block]) -> None:
    block = _build(block_class, 1, nn.Identity, dropout=0.5).train()
    torch.manual_seed(0)
    x = torch.ones(4, 50, WIDTH)
    kept = {BottomToTop: 2.0, DeepNorm: deep_norm_alpha(_context(1, nn.Identity))}.get(block_class, 1.0)
    added = block(x, (torch.ones_like,)) - kept
    # Inverted dropout: what survives is doubled.
    assert set(added.round(decimals=5).unique().tolist()) == {0.0, 2.0}


@pytest.mark.parametrize("block_class", BLOCKS)
def test_the_wrong_number_of_sublayers_is_refused(block_class: type[Block]) -> None:
    with pytest.raises(ValueError, match="shorter|longer"):
        _build(block_class, 3, nn.Identity)(_x(), (torch.sin, torch.cos))


def test_deep_norm_in_a_model_of_depth_zero_beside_it_is_that_of_one_stack() -> None:
    x = _x()
    for side, depths in (("encoder", (8, 0)), ("decoder", (0, 8))):
        block = _build(DeepNorm, 1, nn.Identity, side=side, encoder_layers=depths[0], decoder_layers=depths[1])
        torch.testing.assert_close(block(x, (torch.sin,)), 2 * x + torch.sin(x))  # (2 * 8)^(1/4) = 2
